"""Which evaluation speaks at a gate: one whose texts and prompts nobody could choose, the earliest."""

import pytest

from runs.promotion.gates import judge
from runs.promotion.moving import GateError, promote
from runs.promotion.rules import set_rule
from runs.promotion.tests.support import at, grade, trained

pytestmark = pytest.mark.django_db

SCOPE = "golden-v2"


@pytest.fixture
def rule():
    def write():
        return set_rule(
            scope=SCOPE, name="production", changes={"min_n": 50, "min_accuracy": 0.8, "overlap": "any"}
        )[0]

    return write


def test_grading_again_with_other_prompts_passes_no_gate(rule):
    run = trained(config={"seed": 7})
    rule()
    grade(run, 5, 60, subset_seed=7)
    for seed in (0, 1, 2):
        grade(run, 5, 100, subset_seed=seed, attempt=seed + 2)
    with pytest.raises(GateError, match="60 of 100"):
        promote(at(run, 5), name="production", scope=SCOPE, why="the luckiest")


@pytest.mark.parametrize(
    "facts",
    [{"decoding": {"temperature": 0.8}}, {"draws": 4}, {"subset_seed": 4}],
    ids=str,
)
def test_draws_and_other_prompts_do_not_speak_and_the_refusal_says_what_would(facts, rule):
    run = trained()
    rule()
    grade(run, 5, 100, **facts)
    said = "with the likeliest token, one text a prompt and the training's own subset seed"
    with pytest.raises(GateError, match=rf"there is no evaluation of it.*{said} \(make one: "):
        promote(at(run, 5), name="production", scope=SCOPE, why="the luckiest")
    grade(run, 5, 100, attempt=2)
    assert promote(at(run, 5), name="production", scope=SCOPE, why="as asked for").changed


def test_of_equally_large_ones_the_earliest_speaks_by_the_newest_version_of_the_grader(rule):
    run = trained()
    production = rule()
    first = grade(run, 5, 60)
    grade(run, 5, 100, final=True)
    assert judge(at(run, 5), production).evaluation == first
    assert judge(at(run, 5), None).evaluation == first
    newer = grade(run, 5, 70, grader_version=2, attempt=2)
    grade(run, 5, 100, grader_version=2, attempt=3)
    assert judge(at(run, 5), production).evaluation == newer
