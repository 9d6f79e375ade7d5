"""What runs of their own graded of checkpoints that a resume of the training overtakes."""

import importlib
from pathlib import Path

import pytest
from django.apps import apps

from runs import services
from runs.evaluations.asking import Wanted
from runs.evaluations.tests.support import evaluated
from runs.ingest import ingest_attempt, ingest_rest
from runs.leaderboard.boards import boards_of
from runs.leaderboard.entries import standing
from runs.models import Alias, Attempt, Checkpoint, Evaluation
from runs.promotion.moving import promote
from runs.states import Status
from runs.tests.control_support import write_checkpoint
from runs.tests.samples_support import graded
from runs.tests.support import claim, finish, fresh, journal, make_dataset, make_run, release_device, start
from training.recorder import CheckpointInfo

pytestmark = pytest.mark.django_db


def keep(attempt: Attempt, *steps: int) -> None:
    for step in steps:
        path = write_checkpoint(Path(attempt.run.checkpoint_dir).with_name(f"attempt-{attempt.number}"), step)
        journal(attempt).checkpoint(CheckpointInfo(step, str(path), 700, {"step": step}))


@pytest.fixture
def first():
    """The first attempt of a training that failed after its checkpoints of steps 5 and 10."""
    attempt = start(make_run(dataset=make_dataset()))
    keep(attempt, 5, 10)
    ingest_attempt(attempt)
    finish(attempt, Status.FAILED)
    release_device()
    return attempt


def grade(first: Attempt, step: int) -> Evaluation:
    wanted = Wanted(limit=1, checkpoint=str(step))
    return evaluated(fresh(first.run), [graded("a")], wanted=wanted)


def go_on(first: Attempt, step: int) -> Attempt:
    """The next attempt, which goes on from a step and keeps step 10 once more."""
    services.resume_run(fresh(first.run), deliver=False)
    second = claim(fresh(first.run))
    assert second is not None
    journal(second).resumed(step)
    keep(second, 10)
    return second


def states() -> list[tuple[int, bool]]:
    return list(Evaluation.objects.order_by("pk").values_list("step", "superseded"))


def test_a_resume_takes_them_off_the_boards_and_leaves_those_of_earlier_steps(first):
    grade(first, 5)
    grade(first, 10)
    ingest_attempt(go_on(first, 5))
    assert states() == [(5, False), (10, True)]
    (board,) = boards_of()
    assert [entry.evaluation.step for entry in standing(board, every=True).entries] == [5]


def test_so_does_the_earlier_attempt_whose_journal_is_stored_last(first):
    grade(first, 5)
    grade(first, 10)
    second = go_on(first, 5)
    Attempt.objects.filter(pk=second.pk).update(start_step=5)
    ingest_rest(first, overtaken=True)
    assert states() == [(5, False), (10, True)]


def test_one_that_ends_after_the_resume_began_is_overtaken_from_its_first_moment(first):
    grade(first, 5)
    late = grade(first, 10)
    Checkpoint.objects.filter(step=10).update(superseded=True)
    # As if its journal had not been read before.
    late.made_by.attempts.update(journal_offset=0)
    late.delete()
    ingest_rest(late.made_by.attempts.get(), overtaken=True)
    assert states() == [(5, False), (10, True)]


def test_a_name_on_the_new_checkpoint_is_no_badge_of_the_old_one(first):
    old, kept = grade(first, 10), grade(first, 5)
    second = go_on(first, 5)
    ingest_attempt(second)
    finish(second)
    release_device()
    scope = first.run.dataset.key
    promote(Checkpoint.objects.get(step=10, attempt=2), name="production", scope=scope, why="it is good")
    promote(Checkpoint.objects.get(step=5), name="candidate", scope=scope, why="it is good")
    Evaluation.objects.update(superseded=False)
    (board,) = boards_of()
    badges = {
        entry.evaluation.pk: [alias.name for alias in entry.aliases]
        for entry in standing(board, every=True).entries
    }
    assert badges == {old.pk: [], kept.pk: ["candidate"]}
    assert Alias.objects.count() == 2


def test_those_that_were_overtaken_before_are_marked_by_the_migration(first):
    grade(first, 5)
    grade(first, 10)
    Checkpoint.objects.filter(step=10).update(superseded=True)
    importlib.import_module("runs.migrations.0018_evaluations_of_overtaken").mark(apps, None)
    assert states() == [(5, False), (10, True)]
