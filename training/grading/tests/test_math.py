"""The rule that asks math-verify: what it adds, and where it is not trusted."""

# ruff: noqa: E501 - a case is one line

import importlib.util
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from training.errors import ConfigError
from training.grading import math_rule
from training.grading.graders import GRADERS
from training.grading.math_rule import fit_for_the_library
from training.grading.verdicts import AnswerVerdict

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
    ("17 = 18", "18", False, "different", "of an equation the library compares one side"),
    ("17 | 18", "18", False, "different", "two answers are none"),
    ("17\n18", "18", False, "different", "nor in two lines"),
    ("17. 18", "18", False, "different", "nor in two sentences"),
    ("17 => 18", "18", False, "different", "a way is no answer"),
    (r"17 \to 18", "18", False, "different", "a way is no answer"),
    ("50%", "50", False, "different", "what two numbers are is known without the library"),
    ("0.3333333", "1/3", False, "different", "rounded is not equal"),
    ("x = 18", "18", True, "math-verify", "a variable and its value"),
    ("2xy", "2yx", True, "math-verify", "two letters are a product"),
    (r"\sin^2 x + \cos^2 x", "1", True, "math-verify", "an identity"),
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
        "17 = 18", "17 | 18", "17; 18", "17\n18", "17. 18", "17 -> 18", "17 → 18", "17 oder 18", "a = b = c", "10^99999", "100!", "9" * 31, "x" * 201, r"\int_0^1 x dx", r"\sum_{i=1}^{1000} i",
    ],
)  # fmt: skip
def test_what_may_be_wrong_or_slow_never_reaches_the_library(text):
    assert not fit_for_the_library(text)


@pytest.mark.parametrize(
    "text", ["18", r"\frac{1}{2}", "x^2+y^2", "(1, 2)", "10^6", "x^{12} - 3", "x = 3", "2xy", "sin(x)"]
)
def test_short_single_expressions_reach_it(text):
    assert fit_for_the_library(text)


class StandIn:
    """What answers in the library's place: notes how it is asked, and whether by two at once."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, object]]] = []
        self.busy = self.met = 0

    LatexExtractionConfig = ExprExtractionConfig = object

    def parse(self, text: str, **settings: object) -> list[str]:
        self.busy += 1
        self.met = max(self.met, self.busy)
        self.asked.append((text, settings))
        time.sleep(0.002)
        self.busy -= 1
        if "z" in text:
            raise RecursionError(text)
        return [text.strip("$")]

    def verify(self, gold: list[str], target: list[str], **settings: object) -> bool:
        self.asked.append((gold[0], settings))
        return sorted(gold[0]) == sorted(target[0])


@pytest.fixture
def library(monkeypatch):
    stand_in = StandIn()
    monkeypatch.setattr(math_rule, "is_installed", lambda: True)
    monkeypatch.setattr("importlib.import_module", lambda _name: stand_in)
    math_rule._equal_by_library.cache_clear()
    yield stand_in
    math_rule._equal_by_library.cache_clear()


def test_the_library_is_asked_without_its_alarms_and_only_for_what_nothing_else_decides(library):
    assert MATH.compare("x+1", "1+x").rule == "math-verify"
    assert [settings.get("parsing_timeout", 0) for _, settings in library.asked[:2]] == [None, None]
    assert library.asked[2] == ("1+x", {"timeout_seconds": None})
    for given, expected in [("18", "18"), ("1e3", "1000"), ("17 or 18", "18"), ("50%", "50"), ("9^9^9", "x")]:
        MATH.compare(given, expected)
    assert len(library.asked) == 3


def test_the_library_is_asked_one_at_a_time(library):
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: MATH.compare("x+1", "1+x").correct, range(40)))
    assert found == [True] * 40
    assert library.met == 1


def test_an_error_of_the_library_makes_the_answer_different(library):
    assert MATH.compare("z+1", "1+z") == AnswerVerdict(False, "different")


def test_without_the_library_it_is_refused_by_name(monkeypatch):
    math_rule._equal_by_library.cache_clear()
    monkeypatch.setattr(math_rule, "is_installed", lambda: False)
    with pytest.raises(ConfigError, match="math-verify"):
        MATH.compare("1", "2")
    math_rule._equal_by_library.cache_clear()
