"""What verdicts add up to: shares, several texts a prompt, and the hash of results."""

import dataclasses
import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.examples import TraceExample
from training.grading.draws import majority, pass_at_k
from training.grading.figures import by_prompt, results_hash, summarise
from training.grading.graders import GRADERS
from training.grading.samples import grade

AUTO = GRADERS["auto"]


def example(number: int) -> TraceExample:
    return TraceExample(f"{number:064}", f"1+{number}", (f"1+{number}={1 + number}",), str(1 + number), "sum")


def checker(prompt, steps):
    return [step.startswith(prompt) and eval(step.replace("=", "==")) for step in steps]


def sample(number: int, text: str, *, draw: int = 0, finished: bool = True):
    return grade(
        example(number), text, finished=finished, checkers={"sum": checker}, draw=draw, tokens=len(text)
    )


def test_the_figures_of_one_text_a_prompt():
    samples = [
        sample(1, "1+1=2\n#2"),
        sample(2, "1+2=4\n#3"),
        sample(3, "1+3=5\n#5"),
        sample(4, "1+4=5"),
    ]
    figures = summarise(samples)
    assert (figures.n, figures.draws, figures.correct, figures.answer_accuracy) == (4, 1, 2, 0.5)
    assert figures.interval[0] < 0.5 < figures.interval[1]
    assert figures.step_accuracy == 0.5
    assert figures.right_with_invalid_step == 1
    assert figures.first_wrong_steps == {0: 2}
    assert figures.format_rate == 0.75
    assert (figures.checks["last_step"].passed, figures.checks["last_step"].failed) == (2, 1)
    assert figures.checks["last_step"].share == pytest.approx(2 / 3)
    assert (figures.pass_at, figures.majority_accuracy) == ({}, None)
    assert figures.tokens == sum(len(one.generated_text) for one in samples)


def test_several_texts_a_prompt_are_counted_by_prompt_in_whatever_order_they_come():
    samples = [
        sample(number, f"#{answer}", draw=draw)
        for number, answers in (
            (
                1,
                "2",
            ),
            (2, "4"),
        )
        for draw, answer in enumerate([answers, "9", "3", "3"])
    ]
    figures = summarise(samples)
    assert (figures.n, figures.draws, figures.correct) == (2, 4, 1)
    assert figures.pass_at == {"1": (1 / 4 + 2 / 4) / 2, "2": (1 / 2 + 5 / 6) / 2, "4": 1.0}
    assert figures.majority_accuracy == 0.5, "3 is the commonest answer to both, and right for one"
    mixed = samples[:]
    random.Random(1).shuffle(mixed)
    again = summarise(mixed)
    assert (again.pass_at, again.majority_accuracy, again.correct) == (
        figures.pass_at,
        figures.majority_accuracy,
        figures.correct,
    )


def test_a_trace_that_is_asked_twice_is_two_prompts():
    assert [len(draws) for draws in by_prompt([sample(1, "#2"), sample(1, "#2")])] == [1, 1]


def test_no_samples_and_a_k_beyond_the_draws_are_refused():
    with pytest.raises(ValueError, match="no sample"):
        summarise([])
    with pytest.raises(ValueError, match="pass@2"):
        summarise([sample(1, "#2")], ks=[2])


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 8).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_pass_at_k_is_the_share_of_choices_of_k_that_hold_a_right_one(numbers):
    n, c, k = numbers
    chosen = list(itertools.combinations([True] * c + [False] * (n - c), k))
    assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, chosen)) / len(chosen))


def test_pass_at_k_is_exact_where_a_product_of_floats_is_not():
    assert pass_at_k(1000, 0, 10) == 0.0
    assert pass_at_k(1000, 991, 10) == 1.0
    assert pass_at_k(10_000, 1, 1) == 0.0001


@pytest.mark.parametrize(("n", "c", "k"), [(0, 0, 1), (2, 3, 1), (2, -1, 1), (2, 1, 0), (2, 1, 3)])
def test_what_is_no_draw_is_refused(n, c, k):
    with pytest.raises(ValueError, match=f"pass@{k}"):
        pass_at_k(n, c, k)


@pytest.mark.parametrize(
    ("votes", "place", "reason"),
    [
        (["a", "b", "b"], 1, "the commonest, where it was given first"),
        (["a", "b"], 0, "of equals the one that was given first"),
        (["b", "a", "a", "b"], 0, "of equals the one that was given first"),
        ([None, None, "a"], 2, "no answer is no vote"),
        ([None], None, "nobody voted"),
        ([], None, "nobody was asked"),
    ],
)
def test_the_majority_decides(votes, place, reason):
    assert majority(votes) == place, reason


def test_spellings_of_one_number_are_one_vote_unless_each_character_counts():
    draws = [sample(1, text, draw=draw) for draw, text in enumerate(["#9", "#2", "#2.0", "#9.5"])]
    assert summarise(draws, grader=AUTO).majority_accuracy == 1.0
    assert summarise(draws, grader=GRADERS["exact"]).majority_accuracy == 0.0, "a tie, and 9 was first"


def test_an_answer_that_was_cut_off_has_no_vote():
    draws = [
        sample(1, text, draw=draw, finished=text != "#9") for draw, text in enumerate(["#9", "#9", "#2"])
    ]
    assert summarise(draws).majority_accuracy == 1.0


def test_the_hash_tells_results_apart_and_knows_them_again():
    samples = [sample(1, "1+1=2\n#2"), sample(2, "#4")]
    known = results_hash(samples)
    assert known == results_hash([sample(1, "1+1=2\n#2"), sample(2, "#4")])
    assert len(known) == 64
    assert known != results_hash(samples[::-1])
    assert known != results_hash(samples[:1])
    for change in (
        {"correct": False},
        {"generated_text": "x"},
        {"rule": "text"},
        {"steps_valid": (None,)},
        {"draw": 1},
    ):
        assert known != results_hash([dataclasses.replace(samples[0], **change), samples[1]])
