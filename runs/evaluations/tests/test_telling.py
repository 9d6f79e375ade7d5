"""Which evaluation speaks for a run, where some were drawn or graded otherwise than its own."""

import pytest

from runs import selectors
from runs.evaluations.tests.support import GREEDY
from runs.leaderboard.tests.support import graded, make_runs
from runs.listing.summaries import best_evaluation
from runs.models import Evaluation, Run
from runs.states import Kind
from runs.tests.support import make_dataset, make_run

pytestmark = pytest.mark.django_db

DRAWN = {"decoding": {**GREEDY, "temperature": 2.0, "samples": 8}, "draws": 8}
HOT = {"decoding": {**GREEDY, "temperature": 2.0}}
LENIENT = {"grader": "numeric", "grader_version": 3}
NEWER = {"grader_version": 2}


@pytest.fixture
def run():
    (made,) = make_runs(1, make_dataset())
    return made


def store(run: Run, correct: int, *, by: Run | None = None, **facts) -> Evaluation:
    row = graded(run, correct, **facts)
    row.made_by = by or run
    row.save()
    return row


def asked(run: Run, correct: int, **facts) -> Evaluation:
    return store(run, correct, by=make_run(kind=Kind.EVALUATE, parent=run), **{"step": 10, **facts})


def headline(run: Run) -> Evaluation | None:
    selectors.attach_headlines(runs=[run])
    assert selectors.headline_evaluation(run=run) == run.headline
    return run.headline


@pytest.mark.parametrize("otherwise", [DRAWN, HOT, LENIENT, NEWER], ids=["drawn", "hot", "lenient", "newer"])
def test_one_made_otherwise_speaks_for_no_run_that_has_evaluations_of_its_own(run, otherwise):
    store(run, 40, step=5)
    own = store(run, 50, step=10, final=True)
    asked(run, 99, n=100, step=20, **otherwise)
    assert headline(run) == own
    assert best_evaluation(run) == own


def test_a_later_one_made_alike_does(run):
    store(run, 50, step=10, final=True)
    asked(run, 99, step=20, **DRAWN)
    later = asked(run, 60, step=20)
    assert headline(run) == later
    assert best_evaluation(run) == later


def test_others_are_taken_where_there_is_none(run):
    drawn = asked(run, 90, **DRAWN)
    assert headline(run) == drawn
    assert best_evaluation(run) == drawn
    # Without any of the run's own, the first one says how it is graded.
    first = asked(run, 50)
    asked(run, 99, step=20, **LENIENT)
    assert headline(run) == first
    assert best_evaluation(run) == first


def test_old_rows_are_the_measure_of_a_run_that_was_graded_before_graders_were_recorded(run):
    old = store(run, 50, grader="", grader_version=0, decoding={}, final=True)
    asked(run, 99, step=20)
    assert headline(run) == old
    assert best_evaluation(run) == old


def test_what_the_model_was_before_its_first_update_speaks_only_where_nothing_else_is_there(run):
    before = store(run, 99, n=100, step=0)
    assert headline(run) == before
    assert best_evaluation(run) == before
    later = store(run, 10, n=50, step=5, dataset=None)
    assert headline(run) == later
    assert best_evaluation(run) == later


def test_data_of_the_run_goes_before_all_else(run):
    elsewhere = store(run, 99, step=20, dataset=None)
    assert headline(run) == elsewhere
    assert headline(run) == best_evaluation(run)
    drawn = asked(run, 10, **DRAWN)
    assert headline(run) == drawn
    assert headline(run) == best_evaluation(run)
