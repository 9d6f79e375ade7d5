"""Calculator annotations ``<<48/2=24>>``: is each one right?"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction
from typing import Literal

from training.grading.arithmetic import ArithmeticTextError, evaluate

ANNOTATION = re.compile(r"<<([^<>]*)>>")
_PLACES = re.compile(r"\.(\d+)")
# Possessive, or a few hundred spaces would keep it busy for seconds.
_PLAIN = re.compile(r"\s*+[$€]?+\s*+-?+\s*+[\d,]*+(?:\.\d*+)?+\s*+%?+\s*+")
DIGITS = 60

Verdict = Literal["right", "rounded", "wrong", "unreadable"]


@dataclass(frozen=True, slots=True)
class Annotation:
    """One annotation: where it stands, what it says, and whether that is so.

    ``rounded``: the written result is the exact one rounded or cut to the digits shown.
    """

    step: int
    text: str
    verdict: Verdict
    problem: str = ""

    @property
    def left(self) -> str:
        """What is worked out."""
        return self.text.partition("=")[0]

    @property
    def result(self) -> str:
        """What is said to come out."""
        return self.text.rpartition("=")[2]


def annotations_of(steps: Sequence[str]) -> Iterator[Annotation]:
    """Judge every annotation of a trace, in order."""
    for place, step in enumerate(steps):
        for match in ANNOTATION.finditer(step):
            yield judge(match[1], step=place)


def judge(text: str, *, step: int = 0) -> Annotation:
    """Work out both sides of ``a=b`` (or of each neighbouring pair of ``a=b=c``) and compare them."""
    sides = text.split("=")
    if len(sides) < 2:
        return Annotation(step, text, "unreadable", "there is no =")
    try:
        values = [evaluate(side) for side in sides]
    except ArithmeticTextError as error:
        return Annotation(step, text, "unreadable", str(error))
    verdict: Verdict = "right"
    for place in range(1, len(sides)):
        exact, stated = values[place - 1], values[place]
        if exact == stated:
            continue
        if not _is_rounded(exact, stated, sides[place]):
            return Annotation(step, text, "wrong", f"{sides[place - 1].strip()} is {written(exact)}")
        verdict = "rounded"
    return Annotation(step, text, verdict)


def without_annotations(text: str) -> str:
    """Give a step as people read it."""
    return ANNOTATION.sub("", text)


def written(value: Fraction) -> str:
    """Write a value in full where it ends, else to eight digits after the point."""
    with localcontext(prec=DIGITS):
        decimal = Decimal(value.numerator) / Decimal(value.denominator)
    if Fraction(decimal) == value:
        return f"{decimal.normalize():f}"
    return f"{decimal:.8f}…"


def _is_rounded(exact: Fraction, stated: Fraction, side: str) -> bool:
    """Tell whether ``stated`` is ``exact`` rounded, or cut off, to the places that ``side`` shows."""
    if not _PLAIN.fullmatch(side):
        return False
    places = _PLACES.search(side)
    shown = len(places[1]) if places else 0
    if shown == 0 and abs(exact) < 1:
        return False
    quantum = Decimal(1).scaleb(-shown - (2 if "%" in side else 0))
    with localcontext(prec=DIGITS + 4096 // 3):
        decimal = Decimal(exact.numerator) / Decimal(exact.denominator)
        modes = (ROUND_HALF_UP, ROUND_HALF_EVEN, ROUND_DOWN)
        return any(Fraction(decimal.quantize(quantum, rounding=mode)) == stated for mode in modes)
