"""Faults with real processes and real signals, on the database of this call (SQLite or PostgreSQL).

After each one: never two trainers, nothing active that nobody works on, no point lost or doubled. The
first trial is the short form, of the gate; the rest are long.
"""

import os
import signal
import subprocess
import sys

import pytest
from django.conf import settings
from django.db import connection

from runs import services
from runs.models import Attempt, Run
from runs.processes import hostname, is_alive
from runs.queueing import queue_name
from runs.selectors import live_workers
from runs.states import SUPERVISED, Cause, Status
from runs.tests.fault_support import (
    ENDLESS,
    STEPS,
    Stopwatch,
    TrainerWatch,
    assert_sound,
    at_work,
    ended,
    family,
    journal_step,
    kill_all,
    queue_training,
    tell,
)
from runs.tests.support import end_session, fresh, manage, wait_until

pytestmark = [pytest.mark.jax, pytest.mark.usefixtures("dataset")]
pytest.importorskip("jax")


@pytest.fixture
def watch(process_database):
    watching = TrainerWatch(process_database)
    watching.start()
    yield watching
    watching.close()


def deliver_at_once(run: Run, times: int) -> list["subprocess.Popen[str]"]:
    """So many processes that all have the same delivery in hand, as many workers would."""
    code = (
        "import django, sys; django.setup(); from runs.tasks import supervise; sys.stdin.readline();"
        f"print(supervise({run.pk}, {run.attempt}))"
    )
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tunix_site.settings",
        "TUNIX_WORKER_DEVICE": "cpu:0",
    }
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=settings.BASE_DIR,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        for _ in range(times)
    ]
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    return started


def adopted(run: Run, times: int) -> Attempt:
    attempts = Attempt.objects.filter(run=run, number=fresh(run).attempt)
    return wait_until(attempts.filter(adoptions__gte=times).first, seconds=60, what=f"adoption {times}")


def test_a_training_outlives_whatever_happens_to_its_workers(start_worker, watch):
    run = queue_training("--set=max_restarts=1", "--save-every-steps=100", steps=ENDLESS)
    deliveries = deliver_at_once(run, 5)
    first = at_work(run)
    assert fresh(run).attempt == 1
    # The one that got it is killed; the child goes on, and a worker adopts it.
    kill_all({process.pid for process in deliveries})
    for process in deliveries:
        process.wait(30)
    before = journal_step(run)
    worker = start_worker()
    adopted(run, 1)
    assert journal_step(run) > before
    assert is_alive(first.child_pid, first.child_started)
    # The worker's main process is told to end: it leaves its training at work.
    worker.send_signal(signal.SIGTERM)
    worker.wait(30)
    assert is_alive(first.child_pid, first.child_started)
    worker = start_worker()
    adopted(run, 2)
    # A signal to every process of the worker at once.
    kill_all(family(worker.pid) - {first.child_pid or 0}, signal.SIGTERM)
    worker.wait(60)
    assert is_alive(first.child_pid, first.child_started)
    start_worker()
    adopted(run, 3)
    # And the child itself: it goes on from its newest checkpoint, by itself.
    os.kill(first.child_pid or 0, signal.SIGKILL)
    wait_until(lambda: fresh(run).attempt == 2, what="the restart")
    at_work(run)
    second = Attempt.objects.filter(run=run, number=2)
    begun = wait_until(second.filter(start_step__gt=0).first, what="a checkpoint to go on from").start_step
    wait_until(lambda: journal_step(run) > begun + 20, what="progress after the restart")
    services.request_stop(fresh(run))
    connection.close()
    ended(run)
    assert (run.status, run.attempt, run.restarts) == (Status.STOPPED, 2, 1)
    killed = Attempt.objects.get(run=run, number=1)
    assert (killed.status, killed.cause) == (Status.FAILED, Cause.UNKNOWN)
    assert killed.reason.startswith("unknown, adopted")
    assert_sound(run, watch, steps=run.step)


@pytest.mark.long
def test_a_task_that_is_delivered_five_times_at_once_starts_one_trainer(watch):
    run = queue_training(steps=400)
    deliveries = deliver_at_once(run, 5)
    said = sorted(process.communicate(timeout=120)[0].strip() for process in deliveries)
    assert [line.rpartition(": ")[2] for line in said].count("completed") == 1
    assert_sound(fresh(run), watch, steps=400)
    assert len(watch.seen) == 1
    tell("the same task delivered 5 times at once", trainers=len(watch.seen), points=400)


@pytest.mark.long
def test_a_worker_that_is_killed_with_all_its_processes_costs_nothing(start_worker, watch):
    worker = start_worker()
    run = queue_training()
    attempt = at_work(run)
    kill_all(family(worker.pid) - {attempt.child_pid or 0})
    worker.wait(30)
    alone = journal_step(run)
    start_worker()
    back = Stopwatch()
    adopted(run, 1)
    seconds, steps = back.seconds, journal_step(run) - alone
    ended(run)
    assert (run.status, run.attempt) == (Status.COMPLETED, 1)
    assert_sound(run, watch)
    tell("SIGKILL to every process of the worker", adopted_s=seconds, steps_alone=steps, points=run.step)


@pytest.mark.long
def test_a_training_that_nobody_ever_adopts_brings_itself_to_an_end(start_worker, watch):
    worker = start_worker()
    run = queue_training()
    attempt = at_work(run)
    kill_all(family(worker.pid) - {attempt.child_pid or 0})
    worker.wait(30)
    ended(run)
    assert (run.status, run.attempt, fresh(run).step) == (Status.COMPLETED, 1, STEPS)
    assert_sound(run, watch)
    tell("the worker killed and never started again", points=run.step)


@pytest.mark.long
def test_a_training_without_a_supervisor_still_stops_from_the_page(start_worker, watch):
    worker = start_worker()
    run = queue_training()
    attempt = at_work(run)
    kill_all(family(worker.pid) - {attempt.child_pid or 0})
    worker.wait(30)
    services.request_stop(fresh(run))
    connection.close()
    asked = Stopwatch()
    ended(run, seconds=30)
    tell("stop on the page, without a supervisor", stopped_s=asked.seconds)
    assert (run.status, run.reason) == (Status.STOPPED, "stopped with a checkpoint")
    assert run.checkpoints.filter(step=run.step).exists()
    assert watch.most_at_once == 1


@pytest.mark.long
def test_a_cluster_that_died_is_replaced_and_its_training_adopted(start_worker, watch):
    start_worker()
    run = queue_training()
    attempt = at_work(run)
    [cluster] = [one for one in live_workers().get().clusters if one["device"] == "cpu:0"]
    assert cluster["name"] == queue_name(hostname(), "cpu:0")
    kill_all(family(cluster["pid"]) - {attempt.child_pid or 0})
    killed = Stopwatch()
    adopted(run, 1)
    tell("SIGKILL to the cluster that supervises", adopted_s=killed.seconds)
    ended(run)
    assert (run.status, run.attempt) == (Status.COMPLETED, 1)
    assert_sound(run, watch)


@pytest.mark.long
def test_a_run_whose_processes_are_all_killed_is_lost_within_15_seconds(start_worker, watch):
    start_worker()
    run = queue_training()
    at_work(run)
    [cluster] = [one for one in live_workers().get().clusters if one["device"] == "cpu:0"]
    kill_all(family(cluster["pid"]))
    killed = Stopwatch()
    wait_until(lambda: fresh(run).status == Status.LOST, seconds=15, what="the reaper")
    tell("SIGKILL to training and supervisor together", lost_s=killed.seconds)
    assert run.reason == "its supervisor died, and its process"
    services.resume_run(run)
    connection.close()
    ended(run)
    assert run.status == Status.COMPLETED
    assert_sound(run, watch)


@pytest.mark.long
def test_a_child_that_is_killed_says_so_and_a_second_one_waits_for_its_turn(start_worker, watch):
    start_worker()
    first, second = queue_training(), queue_training(steps=300)
    attempt = at_work(first)
    assert fresh(second).status == Status.QUEUED
    os.kill(attempt.child_pid or 0, signal.SIGKILL)
    killed = Stopwatch()
    wait_until(lambda: fresh(first).is_ended, seconds=15, what="the end of the first")
    noticed = killed.seconds
    wait_until(lambda: fresh(second).status in SUPERVISED, seconds=15, what="the start of the second")
    tell("SIGKILL to the training", noticed_s=noticed, next_started_s=killed.seconds)
    assert (first.status, Attempt.objects.get(run=first).cause) == (Status.FAILED, Cause.SIGNAL)
    assert first.reason == "its process was ended by SIGKILL (out of memory, or by hand)"
    ended(second)
    assert second.status == Status.COMPLETED
    assert_sound(second, watch, steps=300)


@pytest.mark.long
def test_a_child_that_runs_out_of_memory_says_so(start_worker):
    resource = pytest.importorskip("resource")
    start_worker()
    run = queue_training(steps=ENDLESS)
    attempt = at_work(run)
    # Nothing more is given to it: the next allocation of any size fails.
    resource.prlimit(attempt.child_pid, resource.RLIMIT_AS, (1 << 20, 1 << 20))
    services.request_stop(fresh(run))
    connection.close()
    ended(run)
    assert (run.status, Attempt.objects.get(run=run).cause) == (Status.FAILED, Cause.HOST_MEMORY)
    tell("no more memory for the training (RLIMIT_AS)", reason=run.reason[:120])


@pytest.mark.long
def test_the_same_error_at_the_same_step_is_not_tried_a_third_time(start_worker, watch):
    start_worker()
    # A rate at which nothing stays finite: it fails at the same step whenever it is tried.
    diverging = ("--set=learning_rate=10", "--set=final_learning_rate=10", "--set=clip_norm=0")
    run = queue_training(
        *diverging,
        "--set=schedule=constant",
        "--set=optimizer=sgd",
        "--set=skip_limit=2",
        "--set=max_restarts=5",
    )
    wait_until(
        lambda: fresh(run).is_ended and "not restarted" in run.reason, seconds=120, what="the last attempt"
    )
    assert (run.status, run.attempt, run.restarts) == (Status.FAILED, 2, 1)
    assert run.reason.endswith("not restarted: the same error at the same step twice")
    causes = Attempt.objects.filter(run=run).values_list("cause", flat=True)
    assert set(causes) == {Cause.NOT_FINITE}
    assert watch.most_at_once == 1


@pytest.mark.long
def test_a_run_that_was_given_to_another_attempt_ends_its_old_process(start_worker, watch):
    start_worker()
    run = queue_training()
    attempt = at_work(run)
    services.mark_stopped(fresh(run), reason="as the test wants it")
    connection.close()
    marked = Stopwatch()
    gone = lambda: not is_alive(attempt.child_pid, attempt.child_started)  # noqa: E731
    wait_until(gone, seconds=15, what="the end of the old process")
    tell("the run given to another attempt", old_process_ended_s=marked.seconds)
    assert (fresh(run).status, run.reason) == (Status.STOPPED, "as the test wants it")
    services.resume_run(run)
    connection.close()
    ended(run)
    assert run.status == Status.COMPLETED
    assert_sound(run, watch)


@pytest.mark.long
def test_a_drained_worker_stops_its_runs_with_checkpoints_and_leaves(start_worker, watch):
    worker = start_worker()
    run, waiting = queue_training(), queue_training(steps=300)
    at_work(run)
    asked = Stopwatch()
    done = manage("drain")
    assert done.returncode == 0, done.stderr
    worker.wait(30)
    tell("drain", left_s=asked.seconds)
    assert (fresh(run).status, run.reason) == (Status.STOPPED, "stopped with a checkpoint")
    assert run.checkpoints.filter(step=run.step).exists()
    assert fresh(waiting).status == Status.QUEUED
    assert manage("drain").returncode == 1
    end_session(worker)
    start_worker()
    services.resume_run(run)
    connection.close()
    ended(waiting)
    ended(run)
    assert_sound(run, watch)


@pytest.mark.long
def test_on_two_devices_two_runs_work_side_by_side(start_worker, watch, monkeypatch):
    monkeypatch.setenv("TUNIX_CPU_SLOTS", "2")
    start_worker()
    runs = [queue_training(), queue_training(), queue_training(steps=300)]
    attempts = [at_work(run) for run in runs[:2]]
    assert {attempt.device for attempt in attempts} == {"cpu:0", "cpu:1"}
    assert fresh(runs[2]).status == Status.QUEUED
    for run in runs:
        ended(run)
        assert run.status == Status.COMPLETED
    third = Attempt.objects.get(run=runs[2])
    ends = [run.finished_at for run in runs[:2] if run.finished_at]
    assert third.started_at > min(ends)
    assert watch.most_at_once == 2
