"""What a supervisor does when something goes wrong around it: nothing is stopped twice, left, or lost."""

import datetime as dt
import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from django.conf import settings
from django.db import DataError, OperationalError
from django.utils import timezone

from runs import finishing, services, supervisor, tasks
from runs.child_process import FoundChild
from runs.earlier import set_earlier_aside
from runs.endings import Circumstances
from runs.foreground import SupervisorThread
from runs.ingest import ingest_attempt
from runs.journal import JOURNAL_NAME
from runs.models import Attempt, Checkpoint, DeviceLease, MetricPoint
from runs.processes import boot_id, started_at
from runs.reaper import Reaper
from runs.states import Cause, Status
from runs.supervisor import TRIES, Supervision, adopt, disown
from runs.tests.support import (
    checkpoint_info,
    claim,
    finish,
    fresh,
    journal,
    journal_path,
    make_run,
    run_in,
    start,
    wait_until,
)
from training.checkpoints import seal, step_dirs


def seal_empty(root: Path, step: int) -> None:
    """Write a checkpoint with nothing in it."""
    (root / ".partial").mkdir(parents=True)
    seal(root / ".partial", root / str(step), {"step": step})


# A child as far as signals go: the first asks for a checkpoint, which takes a while.
CHILD = """
    import os, sys, time
    from runs.stopping import StopListener

    def told(reason):
        time.sleep(1.5)
        print("checkpoint written", flush=True)
        os._exit(0)

    listener = StopListener(supervisor_pid=None, on_first=told)
    listener.start()
    print("ready", flush=True)
    time.sleep(60)
"""


def dead(attempt: Attempt) -> None:
    Attempt.objects.filter(pk=attempt.pk).update(supervisor_pid=2**22 - 3, supervisor_started=1.0)


@pytest.mark.django_db(transaction=True)
def test_an_adopted_child_that_was_told_to_stop_is_not_told_again():
    run = run_in(Status.RUNNING)
    attempt = Attempt.objects.get()
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CHILD)],
        cwd=settings.BASE_DIR,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    Attempt.objects.update(
        child_pid=child.pid, child_started=started_at(child.pid), boot_id=boot_id(), outlives_supervisor=True
    )
    services.request_stop(run)
    # The supervisor that is now dead had sent it.
    child.terminate()
    Attempt.objects.update(stop_sent_at=timezone.now())
    dead(attempt)
    # It is a child of this process, which has to take note of its end for the adopter to see it.
    threading.Thread(target=child.wait, daemon=True).start()
    adopt(attempt.pk)
    assert child.stdout.read() == "checkpoint written\n"
    child.stdout.close()
    assert Attempt.objects.get().finished_at is not None


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_found_process_gives_its_descriptor_back():
    before = descriptors()
    with FoundChild(os.getpid(), started_at(os.getpid()), boot_id()) as found:
        assert not found.wait(0.01)
        assert descriptors() == before + 1
    assert descriptors() == before


def failing(times: int, error: Exception, real):
    """``real``, but the first calls fail; a stand-in for a disk or a database, which are not ours."""
    calls = []

    def call(*args, **options):
        calls.append(options)
        if len(calls) <= times:
            raise error
        return real(*args, **options)

    call.calls = calls  # type: ignore[attr-defined]
    return call


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("error", "bare"),
    [
        (OSError(28, "no space left"), False),
        (OperationalError("away"), False),
        (DataError("does not fit"), True),
    ],
)
def test_an_attempt_comes_to_its_end_whatever_fails_there(monkeypatch, error, bare):
    run = run_in(Status.RUNNING)
    attempt = Attempt.objects.get()
    journal(attempt).end("completed", step=3)
    monkeypatch.setattr(supervisor, "BEAT_S", 0.01)
    monkeypatch.setattr(supervisor, "SLOWEST_S", 0.01)
    ending = failing(TRIES if bare else 2, error, finishing.finish)
    monkeypatch.setattr(supervisor, "finish", ending)
    ended = Supervision(attempt)._finish(Circumstances(exit_code=0))
    assert ended is (Status.FAILED if bare else Status.COMPLETED)
    assert (fresh(run).is_ended, DeviceLease.objects.exists()) == (True, False)
    assert ending.calls[-1]["bare"] is bare


@pytest.mark.django_db
def test_a_task_that_fails_gives_up_what_it_supervised(monkeypatch):
    run = run_in(Status.QUEUED)

    def claim_and_fail(*args, **options):
        assert claim(run, outlives_supervisor=True) is not None
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(supervisor, "supervise", claim_and_fail)
    with pytest.raises(RuntimeError):
        tasks.supervise(run.pk, 1)
    attempt = Attempt.objects.get()
    assert attempt.supervisor_pid is None
    # A process that works on is offered for adoption.
    Attempt.objects.update(child_pid=os.getpid(), child_started=started_at(os.getpid()))
    reaper = Reaper()
    assert reaper.look() == []
    assert [orphan.pk for orphan in reaper.orphans] == [attempt.pk]


@pytest.mark.django_db
def test_a_command_keeps_what_it_supervises_to_itself():
    run_in(Status.RUNNING)
    disown(os.getpid())
    assert Attempt.objects.get().supervisor_pid == os.getpid()


@pytest.mark.django_db
def test_a_lock_that_the_disk_refuses_fails_no_run(artifacts_dir):
    artifacts_dir.mkdir(exist_ok=True)
    (artifacts_dir / "locks").write_text("a file where the folder belongs")
    runs = [run_in(Status.QUEUED), run_in(Status.QUEUED)]
    for run in runs:
        said = tasks.supervise(run.pk, 1)
        assert "the lock of cpu:0 cannot be taken" in said
        assert fresh(run).status == Status.QUEUED


@pytest.mark.django_db
def test_what_was_taken_back_for_a_trouble_waits_a_little_and_says_why():
    run = make_run()
    services.enqueue_run(run)
    assert services.assign_run(run_id=run.pk, attempt=1, queue="runs@here/cpu:0")
    assert services.take_back(run_id=run.pk, attempt=1, queue="runs@here/cpu:0", why="no disk")
    assert (fresh(run).assigned_to, run.reason) == ("", "no disk")
    assert run.not_before is not None
    assert run.not_before > timezone.now()


@pytest.mark.django_db
def test_points_and_checkpoints_of_an_attempt_that_was_overtaken_are_kept_as_overtaken(tmp_path):
    run = run_in(Status.RUNNING)
    old = Attempt.objects.get()
    finish(old, Status.LOST, reason="no heartbeat")
    services.resume_run(fresh(run), deliver=False)
    new = claim(run)
    assert new is not None
    journal(new).resumed(6)
    ingest_attempt(new)
    # It was cut off, and had worked on.
    recorder = journal(old)
    for step in (7, 8):
        recorder.metrics(step, {"train/loss": 1.0})
    recorder.checkpoint(checkpoint_info(tmp_path, 8))
    assert finishing.finish(old, Circumstances(exit_code=4)) is Status.LOST
    points = MetricPoint.objects.filter(run=run, attempt=1, name="train/loss")
    assert [(point.step, point.superseded) for point in points] == [(7, True), (8, True)]
    assert Checkpoint.objects.get(attempt=1).superseded
    assert (fresh(run).status, run.attempt) == (Status.STARTING, 2)


@pytest.mark.django_db
def test_who_comes_second_to_end_an_attempt_changes_nothing_of_its_end():
    run = run_in(Status.RUNNING)
    first, second = Attempt.objects.get(), Attempt.objects.get()
    finish(first, Status.COMPLETED, reason="all done", cause=Cause.COMPLETED)
    assert not services.finish_attempt(attempt=second, status=Status.LOST, reason="gone")
    ended = Attempt.objects.get()
    assert (ended.status, ended.cause, ended.reason) == (Status.COMPLETED, Cause.COMPLETED, "all done")
    assert fresh(run).status == Status.COMPLETED


@pytest.mark.django_db
def test_the_end_of_a_run_that_was_called_lost_counts_where_nobody_has_taken_over():
    run = run_in(Status.RUNNING)
    attempt = Attempt.objects.get()
    finish(attempt, Status.LOST, reason="no heartbeat")
    journal(attempt).end("completed", step=10)
    assert finishing.finish(attempt, Circumstances(exit_code=0)) is Status.COMPLETED
    assert fresh(run).status == Status.COMPLETED


@pytest.mark.django_db
def test_a_start_that_failed_binds_a_run_to_no_folder():
    run = run_in(Status.STARTING)
    assert fresh(run).store
    finishing.finish(Attempt.objects.get(), Circumstances(trouble="its process could not be started: no"))
    assert (fresh(run).status, run.store) == (Status.FAILED, "")


@pytest.mark.django_db
def test_the_journal_of_an_attempt_that_the_database_has_forgotten_is_set_aside():
    run = run_in(Status.STARTING)
    attempt = Attempt.objects.get()
    journal(attempt).end("completed", step=99)
    set_earlier_aside(attempt)
    assert not journal_path(attempt).exists()
    assert (run.directory / "attempt-1.earlier-1" / JOURNAL_NAME).exists()


@pytest.mark.django_db
def test_a_new_run_starts_from_no_checkpoint_that_an_earlier_database_left_at_its_place():
    run = run_in(Status.STARTING)
    root = Path(run.checkpoint_dir)
    seal_empty(root, 40)
    other = make_run(resume_path=str(root / "40"))
    attempt = Attempt.objects.get()
    set_earlier_aside(attempt)
    assert not root.exists()
    assert [step for step, _ in step_dirs(root.with_name(f"{root.name}.earlier-1"))] == [40]
    assert fresh(other).resume_path == str(root.with_name(f"{root.name}.earlier-1") / "40")


@pytest.mark.django_db
def test_a_later_attempt_keeps_the_checkpoints_of_its_run():
    run = run_in(Status.FAILED)
    seal_empty(Path(run.checkpoint_dir), 5)
    set_earlier_aside(start(run))
    assert [step for step, _ in step_dirs(Path(run.checkpoint_dir))] == [5]


@pytest.mark.usefixtures("process_database")
def test_a_command_restarts_what_it_supervises_as_often_as_the_config_says(monkeypatch):
    monkeypatch.setattr("runs.restarting.FIRST_WAIT", dt.timedelta(seconds=1))
    # A training without a dataset fails, each time in the same way.
    run = make_run(config={"max_restarts": 5})
    services.enqueue_run(run, deliver=False)
    thread = SupervisorThread(run.pk, 1)
    thread.start()
    wait_until(lambda: not thread.is_alive(), what="the end of the restarts")
    assert thread.error is None
    assert (fresh(run).status, run.attempt) == (Status.FAILED, 2)
    assert run.reason.endswith("not restarted: the same error at the same step twice")
