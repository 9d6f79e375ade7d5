import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.errors import TrainingError
from training.examples import TraceExample
from training.grading import compare_answers, grade, step_accuracy, wilson_interval

EXAMPLE = TraceExample("0" * 64, "1+1", ("1+1=2",), "2", "sum")


@pytest.mark.parametrize(
    ("given_answer", "expected", "rule"),
    [
        ("12", "12", "exact"),
        (" Blue  Cup. ", "blue cup", "text"),
        ("１２", "12", "text"),
        ("1,234.50", "1234.5", "number"),
        ("$18", "18", "number"),
        ("+7", "7.0", "number"),
        ("-3", "-3.00", "number"),
    ],
)
def test_equal_answers_are_accepted_by_a_named_rule(given_answer, expected, rule):
    verdict = compare_answers(given_answer, expected)
    assert (verdict.correct, verdict.rule) == (True, rule)


@pytest.mark.parametrize(
    ("given_answer", "expected"),
    [("17 or 18", "18"), ("", "0"), ("1,23", "123"), ("-3", "3"), ("12", "1 2"), ("nan", "0"), ("180", "18")],
)
def test_different_answers_are_refused(given_answer, expected):
    assert not compare_answers(given_answer, expected).correct


@given(st.text(max_size=20))
def test_every_answer_equals_itself(answer):
    assert compare_answers(answer, answer).correct


def test_the_interval_is_wilsons():
    low, high = wilson_interval(90, 100)
    assert (round(low, 4), round(high, 4)) == (0.8256, 0.9448)
    assert wilson_interval(0, 0) == (0.0, 1.0)


@given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_holds_the_share_and_stays_in_bounds(counts):
    correct, n = counts
    low, high = wilson_interval(correct, n)
    assert 0 <= low <= correct / n <= high <= 1


def test_a_right_answer_that_the_limit_cut_off_does_not_count():
    assert grade(EXAMPLE, "1+1=2\n#2", finished=True, checkers={}).correct
    sample = grade(EXAMPLE, "1+1=2\n#2", finished=False, checkers={})
    assert (sample.correct, sample.rule) == (False, "unfinished")


def test_only_what_was_written_is_graded():
    sample = grade(EXAMPLE, "", finished=True, checkers={})
    assert (sample.answer, sample.correct, sample.rule, sample.generated_steps) == (
        None,
        False,
        "no answer",
        (),
    )


def test_steps_are_judged_by_the_checker_of_their_family():
    checkers = {"sum": lambda prompt, steps: [prompt in step for step in steps]}
    sample = grade(EXAMPLE, "1+1=2\n2+2=5\n#2", finished=True, checkers=checkers)
    assert sample.steps_valid == (True, False)
    assert step_accuracy([sample]) == 0.5


def test_steps_of_an_unknown_family_are_neither_right_nor_wrong():
    sample = grade(EXAMPLE, "1+1=2\n#2", finished=True, checkers={})
    assert sample.steps_valid == (None,)
    assert step_accuracy([sample]) is None


def test_a_checker_that_gives_too_few_verdicts_is_named():
    with pytest.raises(TrainingError, match="'sum' gave 0 verdicts on 1 steps"):
        grade(EXAMPLE, "1+1=2\n#2", finished=True, checkers={"sum": lambda _prompt, _steps: []})
