"""Plain equations in steps, such as ``12 + 5 = 17``: is each one right? In doubt nothing is said."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from training.grading.annotations import judge, without_annotations
from training.grading.arithmetic import ArithmeticTextError, evaluate, numbers_in

_NUMBER = r"(?>\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d++)?|\d++(?:\.\d++)?|\.\d++)"
_OPERAND = rf"(?:[$€]\ ?)?{_NUMBER}(?:\ ?%)?"
_OPERATOR = r"\s?(?:\*\*|//|[-+*/^×÷x·∗−–])\s?"
_EQUATION = re.compile(
    rf"(?<![\w.,:$€])(?P<left>{_OPERAND}(?:{_OPERATOR}{_OPERAND}){{1,20}})"
    rf"\s?=\s?(?P<right>[-−–]?{_OPERAND}(?:/\d++)?)"
)
# What stands before or after can make the match a part of something larger, which is then let be.
_JOINED_BEFORE = re.compile(
    r"(?:[-+*/^×÷·∗−–%()\[\]{}\\]|\d:?|\d,|[-+*/×÷]\s*\.|(?<![^\W_])x)\s*$"  # "14, 400" and "+ . 84" too
)
_JOINED_AFTER = re.compile(r"[.,:]?\d|\s*(?:[-+*/^×÷·∗−–(\[{²³°¢!\\]|x\b|\d)(?!\s*[A-Za-z]{2})|[A-Za-z_]")
_LEADING_ZERO = re.compile(r"(?<![\d.,])0\d")
# Words that change what the numbers mean. They matter only where the two sides differ.
_BEFORE = re.compile(
    r"\b(?:of|than|twice|thrice|double|triple|half|times|plus|minus|by|and|over|per|to|less|more|square"
    r"|root|cube|negative|not|n't|wrong|mistake|instead)\s+$",
    re.IGNORECASE,
)
_AFTER = re.compile(
    r"\s*(?:hundred|thousand|million|billion|trillion|dozen|k\b|percent|cents?\b|pence"
    r"|r\b|rem(?:ainder)?\b|left\s+over"
    r"|and\b|a\.?m\b|p\.?m\b|o'?clock|or\b|is\b|\?|[A-Za-z]+\s+(?:and\s+)?(?:\d|(?:a|one|two|three|half)\b))",
    re.IGNORECASE,
)
_OTHER_NUMBERS = re.compile(
    r"\b(?:mod|modulo|modular|base|binary|octal|hex\w*|remainder|carry|digit|clock)\b|≠|!=|≡", re.IGNORECASE
)
# 90 + 30 = 2 hours: the sides differ by what one unit holds of another; 5 * 3 = $15,000: by thousands.
_UNITS = frozenset(Fraction(size) for size in (3, 4, 7, 8, 10, 12, 16, 24, 36, 52, 60, 100, 365, 1000, 3600))
_SCALES = frozenset(Fraction(10**power) for power in (3, 6, 9))
CONTEXT = 40

Verdict = Literal["right", "rounded", "wrong", "unknown"]


@dataclass(frozen=True, slots=True)
class Equation:
    """One equation: where it stands, what it says, and whether that is so.

    ``unknown``: the sides differ, but what stands around may explain it.
    """

    step: int
    start: int
    text: str
    verdict: Verdict
    operands: tuple[Fraction, ...]
    result: Fraction
    problem: str = ""


def equations_of(text: str, *, step: int = 0) -> Iterator[Equation]:
    """Judge every plain equation of one step, in order; annotations are passed over."""
    text = without_annotations(text)
    if "=" not in text:
        return
    other_numbers = _OTHER_NUMBERS.search(text) is not None
    at = 0
    while (match := _EQUATION.search(text, at)) is not None:
        # The result may begin the next one: 12 + 5 = 17 + 3 = 20.
        at = match.start("right")
        before = text[max(0, match.start() - CONTEXT) : match.start()]
        after = text[match.end() : match.end() + CONTEXT]
        if _JOINED_BEFORE.search(before) or _JOINED_AFTER.match(after) or _LEADING_ZERO.search(match[0]):
            continue
        doubtful = other_numbers or bool(_BEFORE.search(before) or _AFTER.match(after))
        found = _judged(match, after, step, doubtful=doubtful)
        if found is not None:
            yield found


def _judged(match: re.Match[str], after: str, step: int, *, doubtful: bool) -> Equation | None:
    left, right = match["left"], match["right"]
    try:
        exact, stated, operands = evaluate(left), evaluate(right), tuple(numbers_in(left))
    except ArithmeticTextError:
        return None
    found = judge(f"{left}={right}")
    verdict: Verdict = "wrong"
    if found.verdict in {"right", "rounded"}:
        verdict = "right" if found.verdict == "right" else "rounded"
    elif doubtful or _other_unit(left, right, after, exact, stated):
        verdict = "unknown"
    return Equation(step, match.start(), match[0], verdict, operands, stated, found.problem)


def _other_unit(left: str, right: str, after: str, exact: Fraction, stated: Fraction) -> bool:
    """Tell whether percent, a unit, or how ``a / 1/3`` is read may account for the difference."""
    if "%" in left or "%" in right or left.count("/") > 1:
        return True
    if not exact or not stated:
        return False
    ratios = {abs(exact / stated), abs(stated / exact)}
    money = "$" in left or "$" in right
    if ratios & _SCALES or (money and Fraction(100) in ratios):
        return True
    return re.match(r"\s*[A-Za-z]", after) is not None and bool(ratios & _UNITS)
