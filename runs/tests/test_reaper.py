"""Runs that nobody supervises any more are found, drained and marked lost; others are left alone."""

import datetime as dt
import os
import signal
import subprocess
import sys

import pytest
from django.utils import timezone

from runs import services
from runs.models import Attempt, DeviceLease, MetricPoint, Run, Worker
from runs.processes import boot_id, hostname, is_alive, started_at
from runs.reaper import (
    LEFT_S,
    ORPHAN_GRACE_S,
    SIGN_IN_S,
    SILENT_ELSEWHERE_S,
    Reaper,
    forget_old_workers,
    reap_here,
)
from runs.states import SUPERVISED, Cause, Status
from runs.stopping import SUPERVISOR_DIED
from runs.tests.support import claim, fresh, journal, journal_path, release_device, run_in
from runs.watching import LONGEST_PAUSE_S

pytestmark = pytest.mark.django_db


class Clock:
    """A monotonic clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def watch(reaper: Reaper, clock: Clock, seconds: float, *, each: float = 5.0) -> list[Run]:
    """Look every few seconds for so long; give what was lost."""
    lost = reaper.look()
    end = clock.now + seconds
    while clock.now < end:
        clock.now = min(end, clock.now + each)
        lost += reaper.look()
    return lost


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


def orphaned(dead_pid: int, child: "subprocess.Popen[bytes]", **changes) -> Run:
    return supervised(
        supervisor_pid=dead_pid,
        supervisor_started=1.0,
        child_pid=child.pid,
        child_started=started_at(child.pid),
        **changes,
    )


@pytest.mark.parametrize("status", sorted(SUPERVISED))
def test_a_run_whose_supervisor_died_is_lost_and_its_journal_is_stored(dead_pid, status):
    run = run_in(status)
    Attempt.objects.update(supervisor_pid=dead_pid, supervisor_started=1.0)
    attempt = Attempt.objects.get()
    for step in (2, 3):
        journal(attempt).metrics(step, {"train/loss": 1.0})
    assert [lost.pk for lost in reap_here()] == [run.pk]
    run = fresh(run)
    assert (run.status, run.reason, run.step) == (Status.LOST, "its supervisor died", 3)
    assert MetricPoint.objects.filter(run=run, name="train/loss").count() == 2
    assert not DeviceLease.objects.exists()
    ended = Attempt.objects.get()
    assert (ended.finished_at is not None, ended.cause) == (True, Cause.SUPERVISOR)
    assert reap_here() == []


def test_a_run_that_is_supervised_is_left_alone_whatever_its_heartbeat_says(clock):
    run = run_in(Status.RUNNING)
    Attempt.objects.update(child_pid=os.getpid(), child_started=started_at(os.getpid()))
    Run.objects.update(heartbeat_at=timezone.now() - dt.timedelta(days=2))
    assert watch(Reaper(clock=clock), clock, 3600) == []
    assert fresh(run).status == Status.RUNNING


def test_a_supervisor_that_lives_but_has_left_its_run_does_not_keep_it_at_work(clock, dead_pid):
    run = supervised(child_pid=dead_pid, child_started=1.0)
    reaper = Reaper(clock=clock)
    assert watch(reaper, clock, LEFT_S - 1) == []
    beat(run, 1)
    assert watch(reaper, clock, LEFT_S - 1) == []
    assert [lost.pk for lost in watch(reaper, clock, 5)] == [run.pk]
    assert fresh(run).reason == "its supervisor left it"


def test_an_attempt_that_cannot_be_ended_keeps_no_other_from_being_ended(dead_pid):
    first = supervised(supervisor_pid=dead_pid, supervisor_started=1.0)
    journal_path(Attempt.objects.get()).mkdir(parents=True)
    release_device()
    second = run_in(Status.STARTING)
    Attempt.objects.filter(run=second).update(supervisor_pid=dead_pid, supervisor_started=1.0)
    assert [lost.pk for lost in reap_here()] == [second.pk]
    assert fresh(first).status == Status.STARTING


@pytest.mark.parametrize("status", [Status.DRAFT, Status.QUEUED, Status.STOPPED, Status.COMPLETED])
def test_a_run_that_nobody_has_to_supervise_is_left_alone(status):
    run = run_in(status)
    assert reap_here() == []
    assert fresh(run).status == status


def test_a_later_process_with_the_same_pid_is_no_supervisor(process):
    run = supervised(supervisor_pid=process.pid, supervisor_started=(started_at(process.pid) or 0) - 3600)
    assert [lost.pk for lost in reap_here()] == [run.pk]


def test_after_a_restart_of_the_host_no_process_counts(process):
    run = orphaned(os.getpid(), process, boot_id="another-boot", outlives_supervisor=True)
    assert [lost.pk for lost in reap_here()] == [run.pk]
    assert fresh(run).reason == "its host was restarted"
    assert process.poll() is None


def test_a_process_that_outlives_its_supervisor_is_named_for_adoption(dead_pid, process, clock):
    run = orphaned(dead_pid, process, outlives_supervisor=True, boot_id=boot_id())
    reaper = Reaper(clock=clock)
    assert watch(reaper, clock, 3600) == []
    assert [orphan.run_id for orphan in reaper.orphans] == [run.pk]
    assert DeviceLease.objects.filter(run=run).exists()
    assert process.poll() is None


def test_a_process_that_stops_with_its_supervisor_gets_its_time_and_then_an_end(dead_pid, process, clock):
    run = orphaned(dead_pid, process)
    reaper = Reaper(clock=clock)
    assert watch(reaper, clock, ORPHAN_GRACE_S - 1) == []
    assert DeviceLease.objects.filter(run=run).exists()
    assert [lost.pk for lost in watch(reaper, clock, 2)] == [run.pk]
    assert process.wait(30) == -signal.SIGKILL


def test_a_process_that_has_not_yet_said_which_it_is_gets_its_time(dead_pid, clock):
    run = supervised(supervisor_pid=dead_pid, supervisor_started=1.0, outlives_supervisor=True)
    reaper = Reaper(clock=clock)
    assert watch(reaper, clock, SIGN_IN_S - 1, each=1) == []
    assert [lost.pk for lost in watch(reaper, clock, 2)] == [run.pk]


@pytest.mark.parametrize("word", [Status.COMPLETED, Status.FAILED, Status.STOPPED])
def test_work_that_was_over_before_the_supervisor_died_counts(dead_pid, word):
    run = supervised(supervisor_pid=dead_pid, supervisor_started=1.0)
    journal(Attempt.objects.get()).end(word, step=10, reason="because")
    assert reap_here() == []
    assert (fresh(run).status, run.reason) == (word, "because")


def test_a_child_that_stopped_because_its_supervisor_died_leaves_a_lost_run(dead_pid):
    run = supervised(supervisor_pid=dead_pid, supervisor_started=1.0)
    journal(Attempt.objects.get()).end("stopped", step=4, reason=SUPERVISOR_DIED, cause=Cause.SUPERVISOR)
    assert [lost.pk for lost in reap_here()] == [run.pk]
    assert (fresh(run).status, run.step) == (Status.LOST, 4)


def beat(run: Run, at: int) -> None:
    Run.objects.filter(pk=run.pk).update(heartbeat_at=timezone.now() + dt.timedelta(seconds=at))


def test_of_another_host_only_the_heartbeat_tells(dead_pid, clock):
    run = supervised(host="elsewhere", supervisor_pid=dead_pid)
    reaper = Reaper(clock=clock)
    assert watch(reaper, clock, SILENT_ELSEWHERE_S - 1) == []
    assert [lost.pk for lost in watch(reaper, clock, 2)] == [run.pk]
    assert fresh(run).reason == "no heartbeat from elsewhere for 46 s"
    assert not DeviceLease.objects.exists()


def test_a_compile_of_ten_minutes_on_another_host_is_no_loss(clock):
    run = supervised(host="elsewhere")
    Run.objects.update(phase="compiling")
    reaper = Reaper(clock=clock)
    lost = []
    for second in range(0, 600, 5):
        if second % 10 == 0:
            beat(run, second)
        clock.now += 5
        lost += reaper.look()
    assert lost == []
    assert fresh(run).status == Status.STARTING


@pytest.mark.parametrize("jump", [-86_400, 86_400])
def test_a_clock_that_was_set_makes_no_run_look_silent(clock, jump):
    run = supervised(host="elsewhere")
    reaper = Reaper(clock=clock)
    assert watch(reaper, clock, 20) == []
    # All clocks that write and compare times are off by a day; only this process's own counts.
    beat(run, jump)
    assert watch(reaper, clock, SILENT_ELSEWHERE_S - 1) == []
    assert [lost.pk for lost in watch(reaper, clock, 2)] == [run.pk]


def test_a_reaper_that_has_just_begun_waits_a_whole_window(clock):
    run = supervised(host="elsewhere")
    beat(run, -86_400)
    assert watch(Reaper(clock=clock), clock, SILENT_ELSEWHERE_S - 1) == []


def test_after_an_outage_a_reaper_waits_a_whole_window(clock):
    run = supervised(host="elsewhere")
    reaper = Reaper(clock=clock)
    assert watch(reaper, clock, SILENT_ELSEWHERE_S - 5) == []
    reaper.watch.forget()
    assert watch(reaper, clock, SILENT_ELSEWHERE_S - 1) == []
    assert [lost.pk for lost in watch(reaper, clock, 2)] == [run.pk]


def test_a_reaper_that_itself_was_away_waits_a_whole_window(clock):
    supervised(host="elsewhere")
    reaper = Reaper(clock=clock)
    assert watch(reaper, clock, 20) == []
    clock.now += LONGEST_PAUSE_S + 3600
    assert watch(reaper, clock, SILENT_ELSEWHERE_S - 1) == []


def test_the_old_attempt_of_a_resumed_run_is_not_reaped_again(dead_pid):
    run = supervised(supervisor_pid=dead_pid, supervisor_started=1.0)
    reap_here()
    Attempt.objects.update(finished_at=None)
    services.resume_run(fresh(run), deliver=False)
    assert claim(run) is not None
    assert reap_here() == []
    assert fresh(run).status == Status.STARTING


def test_a_lease_that_no_run_at_work_holds_is_freed():
    ended, at_work = run_in(Status.COMPLETED), run_in(Status.RUNNING)
    DeviceLease.objects.create(host=hostname(), device="cpu:7", run=ended, attempt=1)
    reap_here()
    assert [lease.run_id for lease in DeviceLease.objects.all()] == [at_work.pk]


def test_a_damaged_journal_holds_up_no_reaping(dead_pid):
    broken = supervised(supervisor_pid=dead_pid, supervisor_started=1.0)
    attempt = Attempt.objects.get()
    journal(attempt)
    (broken.attempt_directory(1) / "metrics.jsonl").write_bytes(b'{"k": "metrics", "t": 0}\n\xff\n')
    release_device()
    other = run_in(Status.STARTING)
    Attempt.objects.filter(run=other).update(supervisor_pid=dead_pid, supervisor_started=1.0)
    assert {lost.pk for lost in reap_here()} == {broken.pk, other.pk}


def test_processes_are_known_by_boot_pid_and_start(process, dead_pid):
    own = started_at(os.getpid())
    assert is_alive(os.getpid(), own)
    assert is_alive(os.getpid(), own, boot_id())
    assert is_alive(os.getpid(), None)
    assert not is_alive(os.getpid(), own, "another-boot")
    assert not is_alive(os.getpid(), (own or 0) - 60)
    assert not is_alive(dead_pid, None)
    assert not is_alive(None, None)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not is_alive(process.pid, None)


def test_workers_of_long_ago_are_forgotten():
    now = timezone.now()
    for pid, age in ((1, 48), (2, 2)):
        Worker.objects.create(host="h", pid=pid, beat_at=now - dt.timedelta(hours=age))
    forget_old_workers()
    assert [worker.pid for worker in Worker.objects.all()] == [2]
