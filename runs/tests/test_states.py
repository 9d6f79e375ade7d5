"""Every change in every state: what is allowed happens, everything else leaves the run as it was."""

from collections.abc import Callable
from typing import Any

import pytest
from django.forms.models import model_to_dict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runs import services
from runs.models import Attempt, DeviceLease, Run
from runs.services import DeviceBusyError
from runs.states import ALLOWED, ENDED, SUPERVISED, Status, sources_of
from runs.tests.support import claim, fresh, make_run, run_in
from tunix_site.errors import ConflictError

pytestmark = pytest.mark.django_db

S = Status


def current_attempt(run: Run) -> Attempt:
    return Attempt.objects.get(run=run, number=run.attempt)


def finish_as(status: Status) -> Callable[[Run], Any]:
    def change(run: Run) -> bool:
        # A run that was never claimed has no attempt that could end it.
        attempt = Attempt.objects.filter(run=run, number=run.attempt).first()
        return attempt is not None and services.finish_attempt(attempt=attempt, status=status)

    return change


def revive(run: Run) -> Any:
    attempt = Attempt.objects.filter(run=run, number=run.attempt).first()
    return attempt and services.revive(attempt)


def finish_late(run: Run) -> Any:
    attempt = Attempt.objects.filter(run=run, number=run.attempt).first()
    return attempt and services.finish_attempt(attempt=attempt, status=S.COMPLETED, late=True)


CHANGES: dict[str, tuple[Callable[[Run], Any], dict[Status, Status]]] = {
    "enqueue": (
        lambda run: services.enqueue_run(run, deliver=False),
        dict.fromkeys([S.DRAFT, S.STOPPED, S.FAILED, S.LOST], S.QUEUED),
    ),
    "start a draft": (services.start_draft, {S.DRAFT: S.QUEUED}),
    "resume": (services.resume_run, dict.fromkeys([S.STOPPED, S.FAILED, S.LOST], S.QUEUED)),
    "claim": (claim, {S.QUEUED: S.STARTING}),
    "claim an older attempt": (lambda run: claim(run, attempt=run.attempt - 1), {}),
    "claim a later attempt": (lambda run: claim(run, attempt=run.attempt + 1), {}),
    "stop": (
        services.request_stop,
        {S.QUEUED: S.STOPPED, S.STARTING: S.STOPPING, S.RUNNING: S.STOPPING},
    ),
    "stop at once": (
        lambda run: services.request_stop(run, now=True),
        {S.QUEUED: S.STOPPED, S.STARTING: S.STOPPING, S.RUNNING: S.STOPPING, S.STOPPING: S.STOPPING},
    ),
    "mark as stopped": (services.mark_stopped, dict.fromkeys([*SUPERVISED, S.LOST], S.STOPPED)),
    "requeue": (
        services.requeue_run,
        # A queued one that its command supervises is left to that command.
        dict.fromkeys([S.STOPPED, S.FAILED, S.LOST], S.QUEUED),
    ),
    "revive": (revive, {S.LOST: S.RUNNING}),
    "finish late": (finish_late, {**dict.fromkeys(SUPERVISED, S.COMPLETED), S.LOST: S.COMPLETED}),
    "fail while queued": (
        lambda run: services.fail_queued(run_id=run.pk, attempt=run.attempt, reason="no"),
        {S.QUEUED: S.FAILED},
    ),
    "fail an older attempt while queued": (
        lambda run: services.fail_queued(run_id=run.pk, attempt=run.attempt - 1, reason="no"),
        {},
    ),
    **{
        f"finish as {end}": (finish_as(end), dict.fromkeys(SUPERVISED, end))
        for end in (S.STOPPED, S.COMPLETED, S.FAILED, S.LOST)
    },
}


@pytest.mark.parametrize("status", list(Status))
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_happens_where_it_is_allowed_and_nowhere_else(change, status):
    act, allowed = CHANGES[change]
    run = run_in(status)
    before = model_to_dict(run)
    refusal = ""
    try:
        act(run)
    except ConflictError as error:
        refusal = str(error)
    if refusal:
        assert f"Run {run.pk}" in refusal
        assert str(status) in refusal
    after = fresh(run)
    if status in allowed:
        assert after.status == allowed[status]
        assert allowed[status] in {status, *ALLOWED[status]}
    else:
        assert model_to_dict(after) == before


@pytest.mark.parametrize("status", list(Status))
def test_exactly_the_supervised_states_hold_the_device(status):
    run = run_in(status)
    assert DeviceLease.objects.filter(run=run).exists() == (status in SUPERVISED)


def test_every_state_can_be_reached_and_all_but_a_completed_run_can_go_on():
    assert all(sources_of(status) for status in Status if status != S.DRAFT)
    assert [status for status in Status if not ALLOWED[status]] == [S.COMPLETED]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(walk=st.lists(st.tuples(st.integers(0, 1), st.sampled_from(sorted(CHANGES))), min_size=4, max_size=25))
def test_no_order_of_changes_puts_two_runs_on_one_device(walk):
    pair = [make_run(), make_run()]
    for which, change in walk:
        run = fresh(pair[which])
        before = Status(run.status)
        attempt = run.attempt
        try:
            CHANGES[change][0](run)
        except (ConflictError, DeviceBusyError):
            assert fresh(run).status == before
        run = fresh(run)
        assert run.status == before or run.status in ALLOWED[before]
        assert run.attempt == attempt + (run.status == S.QUEUED != before)
        held = [one for one in pair if fresh(one).status in SUPERVISED]
        assert len(held) <= 1
        assert [lease.run_id for lease in DeviceLease.objects.all()] == [one.pk for one in held]
        assert Attempt.objects.filter(run=run, finished_at=None).count() == (run.status in SUPERVISED)
        assert (run.finished_at is None) == (run.status not in ENDED)
    for run in pair:
        services.fail_queued(run_id=run.pk, attempt=fresh(run).attempt, reason="the walk is over")
        if fresh(run).status in SUPERVISED:
            assert services.finish_attempt(attempt=current_attempt(run), status=S.LOST)
    assert not DeviceLease.objects.exists()
