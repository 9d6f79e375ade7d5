"""Runs that nobody supervises any more are found, drained and marked lost; others are left alone."""

import datetime as dt
import os
import signal
import subprocess
import sys

import pytest
from django.utils import timezone
from django_q.models import OrmQ

from runs import services
from runs.models import Attempt, DeviceLease, MetricPoint, Run, Worker
from runs.processes import hostname, is_alive, started_at
from runs.reaper import SILENT_ELSEWHERE, forget_old_workers, reap, release_deliveries
from runs.states import SUPERVISED, Status
from runs.tests.support import claim, fresh, journal, make_run, release_device, run_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def process():
    """A process of nobody's, in a session of its own."""
    started = subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True
    )
    yield started
    started.kill()
    started.communicate()


@pytest.fixture
def dead_pid():
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    return gone.pid


def supervised(**changes) -> Run:
    run = run_in(Status.STARTING)
    Attempt.objects.filter(run=run).update(**changes)
    return run


def beat(run: Run, *, ago: dt.timedelta) -> None:
    Run.objects.filter(pk=run.pk).update(heartbeat_at=timezone.now() - ago)


@pytest.mark.parametrize("status", sorted(SUPERVISED))
def test_a_run_whose_supervisor_died_is_lost_and_its_journal_is_stored(dead_pid, status):
    run = run_in(status)
    Attempt.objects.update(supervisor_pid=dead_pid, supervisor_started=1.0)
    attempt = Attempt.objects.get()
    for step in (2, 3):
        journal(attempt).metrics(step, {"train/loss": 1.0})
    assert [lost.pk for lost in reap()] == [run.pk]
    run = fresh(run)
    assert (run.status, run.reason, run.step) == (Status.LOST, "its supervisor died", 3)
    assert MetricPoint.objects.filter(run=run, name="train/loss").count() == 2
    assert not DeviceLease.objects.exists()
    assert Attempt.objects.get().finished_at is not None
    assert reap() == []


def test_a_run_that_is_supervised_is_left_alone():
    run = run_in(Status.RUNNING)
    beat(run, ago=dt.timedelta(days=2))
    assert reap() == []
    assert fresh(run).status == Status.RUNNING


@pytest.mark.parametrize("status", [Status.DRAFT, Status.QUEUED, Status.STOPPED, Status.COMPLETED])
def test_a_run_that_nobody_has_to_supervise_is_left_alone(status):
    run = run_in(status)
    assert reap() == []
    assert fresh(run).status == status


def test_a_later_process_with_the_same_pid_is_no_supervisor(process):
    run = supervised(supervisor_pid=process.pid, supervisor_started=(started_at(process.pid) or 0) - 3600)
    assert [lost.pk for lost in reap()] == [run.pk]


def test_while_the_orphaned_child_saves_its_checkpoint_the_run_keeps_its_device(dead_pid, process):
    run = supervised(
        supervisor_pid=dead_pid,
        supervisor_started=1.0,
        child_pid=process.pid,
        child_started=started_at(process.pid),
    )
    assert reap() == []
    assert DeviceLease.objects.filter(run=run).exists()
    beat(run, ago=dt.timedelta(minutes=10))
    assert [lost.pk for lost in reap()] == [run.pk]
    assert process.wait(30) == -signal.SIGKILL


@pytest.mark.parametrize(("word", "status"), [("completed", Status.COMPLETED), ("failed", Status.FAILED)])
def test_work_that_was_over_before_the_supervisor_died_counts(dead_pid, word, status):
    run = supervised(supervisor_pid=dead_pid, supervisor_started=1.0)
    journal(Attempt.objects.get()).end(word, step=10, reason="because")
    assert reap() == []
    assert (fresh(run).status, run.reason) == (status, "because")


def test_a_child_that_stopped_because_its_supervisor_died_leaves_a_lost_run(dead_pid):
    run = supervised(supervisor_pid=dead_pid, supervisor_started=1.0)
    journal(Attempt.objects.get()).end("stopped", step=4, reason="its supervisor died")
    assert [lost.pk for lost in reap()] == [run.pk]
    assert (fresh(run).status, run.step) == (Status.LOST, 4)


def test_of_another_host_only_the_heartbeat_tells(dead_pid):
    run = supervised(host="elsewhere", supervisor_pid=dead_pid)
    assert reap() == []
    beat(run, ago=dt.timedelta(days=1, seconds=3))
    assert [lost.pk for lost in reap()] == [run.pk]
    assert fresh(run).reason == "no heartbeat from elsewhere for 86403 s"


def test_a_silence_shorter_than_the_bound_is_borne():
    run = supervised(host="elsewhere")
    now = timezone.now()
    Run.objects.filter(pk=run.pk).update(heartbeat_at=now)
    assert reap(now=now + SILENT_ELSEWHERE) == []
    assert reap(now=now + SILENT_ELSEWHERE + dt.timedelta(seconds=1)) == [run]


def test_the_old_attempt_of_a_resumed_run_is_not_reaped_again(dead_pid):
    run = supervised(supervisor_pid=dead_pid, supervisor_started=1.0)
    reap()
    Attempt.objects.update(finished_at=None)
    services.resume_run(fresh(run), deliver=False)
    assert claim(run) is not None
    assert reap() == []
    assert fresh(run).status == Status.STARTING


def test_a_damaged_journal_holds_up_no_reaping(dead_pid):
    broken = supervised(supervisor_pid=dead_pid, supervisor_started=1.0)
    attempt = Attempt.objects.get()
    journal(attempt)
    (broken.attempt_directory(1) / "metrics.jsonl").write_bytes(b'{"k": "metrics", "t": 0}\n\xff\n')
    release_device()
    other = run_in(Status.STARTING)
    Attempt.objects.filter(run=other).update(supervisor_pid=dead_pid, supervisor_started=1.0)
    assert {lost.pk for lost in reap()} == {broken.pk, other.pk}


def test_processes_are_known_by_pid_and_start(process, dead_pid):
    own = started_at(os.getpid())
    assert is_alive(os.getpid(), own)
    assert is_alive(os.getpid(), None)
    assert not is_alive(os.getpid(), (own or 0) - 60)
    assert not is_alive(dead_pid, None)
    assert not is_alive(None, None)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not is_alive(process.pid, None)


def test_tasks_that_a_dead_worker_had_fetched_are_delivered_again():
    services.enqueue_run(make_run())
    OrmQ.objects.update(lock=timezone.now() + dt.timedelta(days=1))
    assert release_deliveries(queue="housekeeping") == 0
    assert release_deliveries(queue="runs") == 1
    assert OrmQ.objects.get().lock <= timezone.now()


def test_the_tasks_of_a_live_worker_stay_with_it():
    Worker.objects.create(host=hostname(), pid=os.getpid(), beat_at=timezone.now())
    services.enqueue_run(make_run())
    OrmQ.objects.update(lock=timezone.now() + dt.timedelta(days=1))
    assert release_deliveries(queue="runs") == 0


def test_workers_of_long_ago_are_forgotten():
    now = timezone.now()
    for pid, age in ((1, dt.timedelta(days=2)), (2, dt.timedelta(hours=2))):
        Worker.objects.create(host="h", pid=pid, beat_at=now - age)
    forget_old_workers()
    assert [worker.pid for worker in Worker.objects.all()] == [2]
