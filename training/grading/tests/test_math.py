"""The rule that asks math-verify: what it adds, and where it is not trusted."""

import importlib.util
from concurrent.futures import ThreadPoolExecutor

import pytest

from training.errors import ConfigError
from training.grading import math_rule
from training.grading.graders import GRADERS
from training.grading.math_rule import fit_for_the_library

needs_library = pytest.mark.skipif(
    importlib.util.find_spec("math_verify") is None, reason="math-verify is not installed"
)
MATH = GRADERS["math"]

CASES = [
    (r"\frac{\sqrt{2}}{2}", r"\frac{1}{\sqrt{2}}", True, "math-verify", "equal expressions"),
    ("(x+1)^2", "x^2+2x+1", True, "math-verify", "one is the other multiplied out"),
    (r"\{1, 2\}", r"\{2, 1\}", True, "math-verify", "sets have no order"),
    ("(1, 2)", "(2, 1)", False, "different", "pairs do"),
    ("x+1", "x+2", False, "different", "other expressions"),
    ("12", "12", True, "exact", "the same characters are not even handed on"),
    ("Blue Cup", "blue cup", True, "text", "plain text equals itself"),
    ("blue cup", "red cup", False, "different", "plain text is no expression"),
    (r"so \boxed{\frac{2}{4}}", "0.5", True, "number", "a box is opened"),
    ("17 or 18", "18", False, "different", "two answers are none, whatever the library says"),
    ("18 or 17", "18", False, "different", "two answers are none, whatever the library says"),
    (r"17 \text{ or } 18", "18", False, "different", "nor in LaTeX"),
    ("17, 18", "18", False, "different", "a list is not one of its members"),
    ("x=17, x=18", "18", False, "different", "a list of equations either"),
    ("17; 18", "18", False, "different", "nor with another sign between them"),
    ("17 / 18", "18", False, "different", "a fraction"),
    ("", "18", False, "different", "nothing"),
]  # fmt: skip


@needs_library
@pytest.mark.parametrize(("given", "expected", "correct", "rule", "reason"), CASES)
def test_the_library_is_the_last_rule(given, expected, correct, rule, reason):
    verdict = MATH.compare(given, expected)
    assert (verdict.correct, verdict.rule) == (correct, rule), reason


@needs_library
def test_it_works_in_threads_and_says_there_what_it_says_alone():
    alone = [MATH.compare(given, expected) for given, expected, *_ in CASES]
    with ThreadPoolExecutor(8) as pool:
        many = list(pool.map(lambda case: MATH.compare(case[0], case[1]), CASES * 8))
    assert many == alone * 8


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "17 or 18", "either 17", r"17 \text{or} 18", "about 18", "18?", "9^9^9", "9**9**9", "2^{3^{4}}",
        "10^99999", "100!", "9" * 31, "x" * 201, r"\int_0^1 x dx", r"\sum_{i=1}^{1000} i",
    ],
)  # fmt: skip
def test_what_may_be_wrong_or_slow_never_reaches_the_library(text):
    assert not fit_for_the_library(text)


@pytest.mark.parametrize("text", ["18", r"\frac{1}{2}", "x^2+y^2", "(1, 2)", "10^6", "x^{12} - 3"])
def test_short_single_expressions_reach_it(text):
    assert fit_for_the_library(text)


def test_without_the_library_it_is_refused_by_name(monkeypatch):
    math_rule._equal_by_library.cache_clear()
    monkeypatch.setattr(math_rule, "is_installed", lambda: False)
    with pytest.raises(ConfigError, match="math-verify"):
        MATH.compare("1", "2")
    math_rule._equal_by_library.cache_clear()
