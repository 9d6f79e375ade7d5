"""Whether an evaluation came out as an earlier one did, and what differs where it did not."""

import pytest

from runs.evaluations import repeating
from runs.evaluations.repeating import repeats
from runs.evaluations.tests.support import GREEDY, evaluated, trained
from runs.models import Evaluation, Sample
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


def test_other_prompts_are_told_and_those_of_both_compared(run):
    evaluated(run, [graded("a", draw=draw) for draw in (0, 2)] + [graded("b"), graded("c", "1")], n=3)
    row = evaluated(
        run, [graded("a", draw=draw) for draw in (0, 1)] + [graded("b", "1"), graded("d", "2")], n=3, draws=3
    )
    found = repeats(row)
    assert found is not None
    assert found.differs[:2] == ["they hold other prompts", "2 of 3 texts, the first at prompt 2"]
    assert found.differs[2] == "1 verdicts, the first at prompt 2"


def test_few_texts_are_in_memory_at_a_time(run, monkeypatch):
    monkeypatch.setattr(repeating, "CHUNK", 1)
    evaluated(run, PROMPTS)
    row = evaluated(run, [*PROMPTS[:2], graded("c", "2")])
    read: list[int] = []

    class Counted(type(Sample.objects.none())):  # type: ignore[misc]
        def iterator(self, chunk_size=None):
            read.append(chunk_size)
            return super().iterator(chunk_size)

    monkeypatch.setattr(Sample.objects, "_queryset_class", Counted)
    found = repeats(row)
    assert found is not None
    assert found.differs[0] == "1 of 3 texts, the first at prompt 3"
    assert read == [1, 1]


def test_old_ones_without_a_hash_repeat_nothing(run):
    evaluated(run, PROMPTS)
    assert repeats(evaluated(run, PROMPTS, results_hash="")) is None
