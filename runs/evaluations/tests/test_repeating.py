"""Whether an evaluation came out as an earlier one did, and what differs where it did not."""

import pytest

from runs.evaluations.repeating import repeats
from runs.evaluations.tests.support import GREEDY, evaluated, trained
from runs.models import Evaluation
from runs.tests.samples_support import graded

pytestmark = pytest.mark.django_db

PROMPTS = [graded("a"), graded("b", "1"), graded("c")]


@pytest.fixture
def run():
    return trained()


def test_the_first_of_its_kind_repeats_nothing(run):
    assert repeats(evaluated(run, PROMPTS)) is None


def test_an_equal_one_is_identical_to_the_newest_equal_one(run):
    evaluated(run, PROMPTS)
    second, third = evaluated(run, PROMPTS), evaluated(run, PROMPTS)
    found = repeats(third)
    assert found is not None
    assert (found.identical, found.earlier, found.differs) == (True, second, [])
    assert found.words == f"identical to evaluation {second.pk}"


def test_one_that_differs_names_texts_verdicts_and_devices(run):
    first = evaluated(run, PROMPTS)
    second = evaluated(run, [PROMPTS[0], graded("b", "0"), PROMPTS[2]])
    second.made_by.device_name = "another processor"
    second.made_by.save()
    found = repeats(Evaluation.objects.get(pk=second.pk))
    assert found is not None
    assert (found.identical, found.earlier) == (False, first)
    assert found.differs[:2] == ["1 of 3 texts, the first at prompt 2", "1 verdicts, the first at prompt 2"]
    assert found.differs[2] == "device a test's processor → another processor"


@pytest.mark.parametrize(
    "changes",
    [
        {"grader": "numeric"},
        {"grader_version": 2},
        {"decoding": {**GREEDY, "max_new_tokens": 9}},
        {"subset_seed": 4},
        {"results_hash": ""},
    ],
)
def test_what_was_made_otherwise_is_not_compared(run, changes):
    evaluated(run, PROMPTS, **changes)
    assert repeats(evaluated(run, PROMPTS)) is None


def test_old_ones_without_a_hash_repeat_nothing(run):
    evaluated(run, PROMPTS)
    assert repeats(evaluated(run, PROMPTS, results_hash="")) is None
