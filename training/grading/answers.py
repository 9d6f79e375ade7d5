"""Graders of an answer as such: to the letter, as normalised text, as a number, and all three in turn."""

from typing import Final

from training.grading.numbers import read_quantity
from training.grading.texts import normalise
from training.grading.units import CURRENCIES
from training.grading.verdicts import AnswerVerdict, Written

DIFFERENT: Final = "different"


def compare_answers(given: str, expected: str) -> AnswerVerdict:
    """Compare two answers to the letter (``exact``), as normalised text (``text``), and as numbers."""
    if given == expected:
        return AnswerVerdict(True, "exact")
    if normalise(given) == normalise(expected):
        return AnswerVerdict(True, "text")
    return as_numbers(given, expected)


def as_numbers(given: str, expected: str) -> AnswerVerdict:
    """Compare two answers as exact numbers with units."""
    left, right = read_quantity(given), read_quantity(expected)
    if left is None or right is None or not left.agrees_with(right):
        return AnswerVerdict(False, DIFFERENT)
    units = {left.unit, right.unit}
    # A currency sign that one side leaves out is a matter of spelling.
    return AnswerVerdict(True, "number" if len(units) == 1 or units & CURRENCIES else "number, unit left out")


def no_answer(written: Written) -> AnswerVerdict:
    """Refuse a text that has not exactly one answer, for the reason why."""
    return AnswerVerdict(False, written.problem or "no answer")


def judge_exact(written: Written, expected: str) -> AnswerVerdict:
    """Accept the same characters alone."""
    if written.answer is None:
        return no_answer(written)
    same = written.answer == expected
    return AnswerVerdict(same, "exact" if same else DIFFERENT)


def judge_normalised(written: Written, expected: str) -> AnswerVerdict:
    """Accept the same text, whatever its letter case, white space and Unicode form."""
    verdict = judge_exact(written, expected)
    if verdict.correct or written.answer is None or normalise(written.answer) != normalise(expected):
        return verdict
    return AnswerVerdict(True, "text")


def judge_numeric(written: Written, expected: str) -> AnswerVerdict:
    """Accept the same characters, or the same number."""
    verdict = judge_exact(written, expected)
    if verdict.correct or written.answer is None:
        return verdict
    return as_numbers(written.answer, expected)


def judge_auto(written: Written, expected: str) -> AnswerVerdict:
    """Accept what one of the three accepts."""
    return no_answer(written) if written.answer is None else compare_answers(written.answer, expected)
