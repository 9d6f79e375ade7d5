"""Names that move by themselves, to the best evaluation by a chosen metric."""

import shutil

import pytest

from runs.leaderboard.tests.support import clean
from runs.models import Alias, AliasMove
from runs.promotion.following import follow, follow_evaluations
from runs.promotion.moving import let_go, promote
from runs.promotion.rules import drop_rule, set_rule
from runs.promotion.tests.support import at, grade, trained
from runs.tasks import look_at_evaluations
from tunix_site.errors import ConflictError, NotFoundError

pytestmark = pytest.mark.django_db

SCOPE = "golden-v2"


def rule(**changes):
    facts = {"metric": "interval_low", **changes}
    return set_rule(scope=SCOPE, name="best", changes=facts)[0]


def where():
    alias = Alias.objects.filter(name="best").first()
    return (
        None
        if alias is None or alias.checkpoint is None
        else (alias.checkpoint.run_id, alias.checkpoint.step)
    )


def test_best_moves_when_its_metric_is_chosen_and_when_a_better_evaluation_is_stored():
    first, second = trained(), trained()
    grade(first, 5, 60)
    grade(first, 10, 70)
    rule()
    assert where() == (first.pk, 10)
    worse, better = grade(second, 5, 65), grade(second, 10, 90)
    follow_evaluations([worse])
    assert where() == (second.pk, 10)
    newest = AliasMove.objects.all()[0]
    assert (newest.moved_by_name, newest.evaluation) == ("", better.pk)
    assert newest.why.startswith("highest lower bound of the answer accuracy: 82.6%, evaluation")


def test_step_0_goes_after_all_others():
    begun, learning = trained(0), trained(5)
    grade(begun, 0, 99)
    rule()
    assert where() == (begun.pk, 0)
    grade(learning, 5, 10)
    follow(rule())
    assert where() == (learning.pk, 5)


def test_best_waits_until_overlap_was_looked_at_and_follows_then():
    run = trained()
    rule()
    grade(run, 5, 90, overlap=None)
    assert where() is None
    look_at_evaluations()
    # Its prompts were not kept, so nobody can say what stands in the training data.
    assert where() is None
    rule(overlap="any")
    assert where() == (run.pk, 5)


def test_evaluations_with_overlap_do_not_count_and_the_reason_says_how_many():
    run = trained()
    grade(run, 10, 99, overlap=clean(trace=1))
    grade(run, 5, 60)
    rule()
    assert where() == (run.pk, 5)
    assert "1 does not meet its rule" in Alias.objects.get().why


def test_among_equals_the_present_one_stays_then_the_larger_then_the_earlier():
    first, second, third = trained(), trained(), trained()
    grade(first, 5, 50, 100)
    grade(second, 5, 100, 200)
    grade(third, 5, 100, 200)
    rule(metric="answer_accuracy")
    assert where() == (second.pk, 5)
    grade(third, 10, 200, 400)
    follow(rule(metric="answer_accuracy"))
    assert where() == (second.pk, 5)


def test_lower_is_better_for_a_loss_unless_the_rule_says_otherwise():
    run = trained()
    grade(run, 5, 50, loss=0.5)
    grade(run, 10, 50, loss=0.1)
    assert rule(metric="loss").higher_is_better is False
    assert where() == (run.pk, 10)
    rule(metric="loss", higher_is_better=True)
    assert where() == (run.pk, 5)


@pytest.mark.parametrize(
    "facts",
    [
        {"decoding": {"temperature": 0.8}},
        {"draws": 4},
        {"subset_seed": 4},
        {"split": "train"},
        {"grader": ""},
        {"superseded": True},
        {"n": 5, "correct": 5},
    ],
    ids=str,
)
def test_what_cannot_be_compared_or_is_too_small_does_not_count(facts):
    run = trained()
    grade(run, 5, facts.pop("correct", 100), facts.pop("n", 100), **facts)
    rule(min_n=50)
    assert where() is None


def test_prompts_chosen_by_the_seed_of_the_training_itself_count():
    run = trained(config={"seed": 7})
    grade(run, 5, 60, subset_seed=7)
    grade(run, 10, 90)
    rule()
    assert where() == (run.pk, 5)


def test_an_evaluation_whose_checkpoint_is_gone_gives_way_to_the_next():
    run = trained()
    grade(run, 5, 60)
    grade(run, 10, 90)
    shutil.rmtree(at(run, 10).path)
    rule()
    assert where() == (run.pk, 5)


def test_a_name_that_follows_is_not_moved_by_hand_until_its_rule_is_dropped():
    run = trained()
    rule()
    with pytest.raises(ConflictError, match="follows interval_low by itself"):
        promote(at(run, 5), name="best", scope=SCOPE, why="I like it")
    grade(run, 10, 90)
    rule()
    with pytest.raises(ConflictError, match=r"follows interval_low by itself.*deletes its rule first"):
        let_go(name="best", scope=SCOPE, why="I do not like it")
    assert where() == (run.pk, 10)
    drop_rule(scope=SCOPE, name="best")
    assert let_go(name="best", scope=SCOPE, why="I do not like it").changed
    assert promote(at(run, 5), name="best", scope=SCOPE, why="I like it").changed
    with pytest.raises(NotFoundError, match="has no rule"):
        drop_rule(scope=SCOPE, name="best")


def test_without_a_rule_nothing_moves_by_itself():
    run = trained()
    follow_evaluations([grade(run, 5, 100)])
    assert not Alias.objects.exists()


def test_an_evaluation_of_a_dataset_that_is_gone_or_none_is_no_trouble():
    run = trained()
    follow_evaluations([grade(run, 5, 100, dataset=None)])
    assert not Alias.objects.exists()
