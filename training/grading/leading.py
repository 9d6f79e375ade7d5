"""What stands right before an annotation, ``48/2 = <<48/2=24>>``: is it the same calculation?"""

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Final

from training.grading.annotations import ANNOTATION
from training.grading.arithmetic import ArithmeticTextError, evaluate

WINDOW: Final = 120

_TERM = r"[$€]?\({0,3}[$€]?(?:\d[\d,]{0,20}(?:\.\d{1,20})?|\.\d{1,20})%?\){0,3}"
_LEADING: Final = re.compile(rf"(?P<expression>{_TERM}(?:\s?[-+*/×÷x]\s?{_TERM}){{1,20}})\s?=\s?[$€]?\s?\Z")
# Then it goes on to the left, in words or signs that are not read here.
_GOES_ON: Final = re.compile(r"(?:[-+*/^×÷x(.,$€]|\d\s?%?)\s*\Z")
# One side in percent, the other not.
_PERCENT: Final = frozenset({Fraction(100), Fraction(1, 100)})


def contradictions(steps: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Name annotations that work out something else than what is written before them, as (step, sentence)."""
    for place, step in enumerate(steps):
        for annotation in ANNOTATION.finditer(step):
            start = max(0, annotation.start() - WINDOW)
            written = _written_before(step[start : annotation.start()], is_cut=start > 0)
            worked_out, equals, _ = annotation[1].partition("=")
            if written and equals and _differ(written, worked_out):
                yield place, f"{written} stands before <<{annotation[1]}>>"


def _written_before(text: str, *, is_cut: bool) -> str:
    found = _LEADING.search(text)
    if found is None or (is_cut and found.start() == 0) or _GOES_ON.search(text[: found.start()]):
        return ""
    return found["expression"]


def _differ(written: str, worked_out: str) -> bool:
    try:
        left, right = evaluate(written), evaluate(worked_out)
    except ArithmeticTextError:
        return False
    return left != right and not (left and right and left / right in _PERCENT)
