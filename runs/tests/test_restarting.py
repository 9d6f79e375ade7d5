"""Restarts by themselves: as often as the config says, later each time, never after the same error twice."""

import datetime as dt

import pytest
from django.utils import timezone

from runs import services
from runs.endings import Circumstances
from runs.finishing import finish
from runs.models import Attempt, Checkpoint, Run
from runs.queueing import waiting_runs
from runs.restarting import back_off
from runs.states import Kind, Status
from runs.tests.support import claim, fresh, journal, make_run, release_device

pytestmark = pytest.mark.django_db


def restartable(times: int = 2, **facts) -> Run:
    run = make_run(config={"max_restarts": times}, **facts)
    services.enqueue_run(run, deliver=False)
    return run


def fail(run: Run, *, step: int = 0, failure: str = "ValueError: no", status: Status = Status.FAILED) -> None:
    """Let the current attempt come to a step and fail there."""
    fresh(run)
    attempt = claim(run, outlives_supervisor=True)
    assert attempt is not None
    recorder = journal(attempt)
    if step:
        recorder.metrics(step, {"train/loss": 1.0})
    recorder.end(status, step=step, reason=failure, failure=failure)
    finish(attempt, Circumstances(exit_code=1))


def test_a_failed_training_waits_a_while_and_is_queued_again_with_the_reason():
    run = restartable()
    before = timezone.now()
    fail(run, step=3)
    assert (fresh(run).status, run.attempt, run.restarts) == (Status.QUEUED, 2, 1)
    assert run.reason == "restart 1 of 2, for it failed: ValueError: no"
    assert run.not_before is not None
    assert dt.timedelta(seconds=9) < run.not_before - before < dt.timedelta(seconds=15)
    assert run.assigned_to == ""
    assert Attempt.objects.get(run=run).status == Status.FAILED


def test_it_is_restarted_as_often_as_its_config_says():
    run = restartable(2)
    for step in (3, 5, 7):
        fail(run, step=step)
    assert (fresh(run).status, run.attempt) == (Status.FAILED, 3)
    assert run.reason == "ValueError: no; not restarted: it was 2 times already (max_restarts)"


def test_the_same_error_at_the_same_step_twice_ends_it():
    run = restartable(5)
    fail(run, step=3)
    fail(run, step=3)
    assert (fresh(run).status, run.attempt, run.restarts) == (Status.FAILED, 2, 1)
    assert run.reason.endswith("not restarted: the same error at the same step twice")


@pytest.mark.parametrize(("step", "failure"), [(4, "ValueError: no"), (3, "OSError: other")])
def test_another_step_or_another_error_is_tried_again(step, failure):
    run = restartable(5)
    fail(run, step=3)
    fail(run, step=step, failure=failure)
    assert (fresh(run).status, run.restarts) == (Status.QUEUED, 2)


def test_a_lost_training_is_restarted_too():
    run = restartable()
    attempt = claim(run)
    assert attempt is not None
    finish(attempt, Circumstances(gone="its supervisor died"))
    assert (fresh(run).status, run.restarts) == (Status.QUEUED, 1)
    assert run.reason == "restart 1 of 2, for it was lost: its supervisor died"


def test_what_was_asked_to_stop_is_not_restarted():
    run = restartable()
    attempt = claim(run)
    assert attempt is not None
    services.request_stop(fresh(run))
    finish(attempt, Circumstances(exit_code=-11))
    assert fresh(run).status == Status.FAILED


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.STOPPED])
def test_a_good_end_is_no_reason_to_restart(status):
    run = restartable()
    fail(run, step=3, status=status)
    assert fresh(run).status == status


def test_without_the_config_and_for_other_kinds_nothing_restarts():
    for run in (restartable(0), restartable(3, kind=Kind.BENCH)):
        fail(run, step=3)
        assert fresh(run).status == Status.FAILED
        release_device()


def test_a_person_who_starts_it_begins_the_count_anew():
    run = restartable(1)
    fail(run, step=3)
    fail(run, step=4)
    assert fresh(run).status == Status.FAILED
    services.resume_run(run, deliver=False)
    assert (fresh(run).restarts, run.not_before) == (0, None)
    fail(run, step=6)
    assert fresh(run).status == Status.QUEUED


def test_the_wait_doubles_up_to_five_minutes():
    assert [back_off(times).total_seconds() for times in (0, 1, 2, 4, 5, 900)] == [10, 20, 40, 160, 300, 300]


def test_it_still_waits_in_the_queue_meanwhile():
    run = restartable()
    fail(run, step=3)
    assert list(waiting_runs()) == [run]


def test_what_a_command_supervises_stays_with_that_command():
    run = restartable()
    attempt = claim(run)
    assert attempt is not None
    finish(attempt, Circumstances(exit_code=1))
    assert (fresh(run).status, run.assigned_to) == (Status.QUEUED, services.FOREGROUND)


def test_a_restart_starts_as_was_asked_until_there_is_a_checkpoint():
    run = restartable(5)
    fail(run, step=3)
    services.request_stop(fresh(run))
    services.resume_run(run, deliver=False, resume_path="/somewhere/2", allow_inexact=True)
    fail(run)
    assert (fresh(run).attempt, run.resume_attempt, run.params["allow_inexact"]) == (4, 4, 4)
    Checkpoint.objects.create(
        run=run, step=5, attempt=4, path="/somewhere/5", size_bytes=1, created_at=timezone.now()
    )
    fail(run, step=6)
    assert (fresh(run).attempt, run.resume_attempt, run.params["allow_inexact"]) == (5, 4, 4)
