"""The order of the queue: priority, then position, and what people change of it."""

import itertools

import pytest

from runs import services
from runs.queueing import move, set_priority, waiting_runs
from runs.states import Status
from runs.tests.control_support import queued
from runs.tests.support import fresh, make_run, run_in
from tunix_site.errors import ConflictError, InvalidInputError

pytestmark = pytest.mark.django_db


@pytest.fixture
def runs():
    return [queued() for _ in range(4)]


def order(runs):
    return [runs.index(run) for run in waiting_runs()]


def test_what_comes_first_goes_first_and_higher_priority_before_it(runs):
    assert order(runs) == [0, 1, 2, 3]
    set_priority(runs[2], 1)
    assert order(runs) == [2, 0, 1, 3]
    set_priority(runs[0], -1)
    assert order(runs) == [2, 1, 3, 0]


def test_a_run_that_is_queued_again_goes_to_the_end(runs):
    services.request_stop(runs[0])
    services.resume_run(runs[0])
    assert order(runs) == [1, 2, 3, 0]


@pytest.mark.parametrize(
    ("which", "where", "expected"),
    [
        (3, "first", [3, 0, 1, 2]),
        (0, "last", [1, 2, 3, 0]),
        (2, "up", [0, 2, 1, 3]),
        (1, "down", [0, 2, 1, 3]),
        (0, "up", [0, 1, 2, 3]),
        (3, "down", [0, 1, 2, 3]),
    ],
)
def test_moving(runs, which, where, expected):
    move(runs[which], where)
    assert order(runs) == expected


@pytest.mark.parametrize("where", ["first", "up", "down", "last"])
def test_moving_goes_past_runs_of_another_priority_too(runs, where):
    set_priority(runs[0], 5)
    set_priority(runs[3], -5)
    before = order(runs)
    for which in (0, 1, 2, 3):
        here = before.index(which)
        there = {"first": 0, "up": max(0, here - 1), "down": min(3, here + 1), "last": 3}[where]
        move(fresh(runs[which]), where)
        before.insert(there, before.pop(here))
        assert order(runs) == before
        ranks = [row.priority for row in waiting_runs()]
        assert all(one >= other for one, other in itertools.pairwise(ranks))


def test_a_run_that_is_handed_out_keeps_out_of_the_order(runs):
    services.assign_run(run_id=runs[0].pk, attempt=1, queue="runs@there/cpu:0")
    with pytest.raises(ConflictError, match="no longer waits"):
        move(fresh(runs[0]), "last")
    move(runs[3], "first")
    assert fresh(runs[0]).assigned_to == "runs@there/cpu:0"
    assert [run for run in waiting_runs() if not run.assigned_to] == [runs[3], runs[1], runs[2]]


@pytest.mark.parametrize("status", [Status.RUNNING, Status.STOPPED, Status.COMPLETED])
def test_only_what_waits_is_ordered(status):
    run = run_in(status)
    with pytest.raises(ConflictError):
        move(run, "first")
    with pytest.raises(ConflictError):
        set_priority(run, 1)


def test_a_draft_has_a_priority_that_it_keeps_when_it_is_queued(runs):
    draft = set_priority(make_run(), 3)
    services.enqueue_run(draft)
    assert waiting_runs().first() == draft


@pytest.mark.parametrize("priority", [-1001, 1001, 10**9])
def test_priorities_have_bounds(runs, priority):
    with pytest.raises(InvalidInputError, match="from -1000 to 1000"):
        set_priority(runs[0], priority)
