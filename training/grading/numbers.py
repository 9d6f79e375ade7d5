"""Answers as numbers with units: read exactly, within bounds, and never by guessing.

What is no single number for certain is none: a time (3:30), a choice of two (17 or 18), an
approximation (~5), a date, a list, a sentence.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final

from training.grading.texts import normalise
from training.grading.units import canonical_unit, scale_of

MAX_CHARACTERS: Final = 120
MAX_DIGITS: Final = 60
MAX_EXPONENT: Final = 400

_NUMBER = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d*)?|\d+(?:\.\d*)?|\.\d+)"
_POWER = r"(?:e(?P<e>[-+]?\d{1,4})|\ ?[x×*]\ ?10\ ?(?:\^|\*\*)\ ?\{?(?P<ten>[-+]?\d{1,4})\}?)"
_QUANTITY: Final = re.compile(
    rf"""
    (?P<sign>[-+])?\ ?
    (?P<currency>us\$|[$€£¥₹])?\ ?
    (?P<inner>[-+])?
    (?:
        (?P<whole>\d{{1,20}})\ (?:and\ )?(?P<part>\d{{1,20}})\ ?/\ ?(?P<of>\d{{1,20}})   # 1 1/2
        | (?P<top>{_NUMBER})\ ?/\ ?(?P<bottom>{_NUMBER})                                 # 3/4
        | (?P<number>{_NUMBER}){_POWER}?
    )
    (?![\d,/:^])
    (?P<rest>.*)
    """,
    re.VERBOSE | re.DOTALL,
)
_PERCENT: Final = re.compile(r" ?(?:%|percent|per cent)")
# Thin and no-break spaces part thousands; ordinary ones part the numbers of a list.
_THIN: Final = re.compile(r"(?<=\d)[\u00a0\u2009\u202f](?=\d{3}(?!\d))")
_LATEX: Final = (
    (re.compile(r"\\[dtc]?frac\s?\{\s?(-?[\d.]{1,40})\s?\}\s?\{\s?([\d.]{1,40})\s?\}"), r" \1/\2"),
    (re.compile(r"\\[dtc]?frac\s?(\d)\s?(\d)"), r" \1/\2"),
    (re.compile(r"\\(?:text|mathrm|textbf|mathbf)\s?\{([^{}]{0,60})\}"), r" \1"),
    (re.compile(r"\^?\s?\{?\\(?:circ|degree)\}?"), "°"),
    (re.compile(r"\\(?:times|cdot)"), "×"),
    (re.compile(r"\\([$%])"), r"\1"),
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"\\[,!;:]"), ""),
)
_WRAPPED: Final = re.compile(
    r"\$(?P<dollars>[^$]+)\$|\\\((?P<round>.+)\\\)|\\\[(?P<square>.+)\\\]", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number and the unit written beside it; an empty unit: none was written."""

    value: Fraction
    unit: str = ""

    def agrees_with(self, other: "Quantity") -> bool:
        """Tell whether both have the same value, and the same unit where both have one."""
        return self.value == other.value and (self.unit == other.unit or not self.unit or not other.unit)


def read_quantity(text: str) -> Quantity | None:
    """Read an answer that is one number and nothing else but its unit; None for anything else.

    Thousands commas, signs, percent (50 % is 1/2), fractions, mixed numbers, powers of ten, words such
    as *million* and the usual LaTeX for them are understood.
    """
    if not text or len(text) > MAX_CHARACTERS:
        return None
    found = _QUANTITY.fullmatch(_simple(text))
    if found is None or (found["sign"] and found["inner"]):
        return None
    value = _value(found)
    if value is None:
        return None
    if "-" in (found["sign"], found["inner"]):
        value = -value
    return _with_unit(value, found["currency"] or "", found["rest"])


def _simple(text: str) -> str:
    """Give the text without what is only a matter of spelling."""
    simple = normalise(text if text.isascii() else _THIN.sub("", text))
    wrapped = _WRAPPED.fullmatch(simple)
    if wrapped:
        simple = wrapped["dollars"] or wrapped["round"] or wrapped["square"]
    if "\\" in simple or "{" in simple:
        for pattern, instead in _LATEX:
            simple = pattern.sub(instead, simple)
    return " ".join(simple.split()).removesuffix(".")


def _value(found: re.Match[str]) -> Fraction | None:
    if found["whole"]:
        whole, part, of = (Fraction(found[name]) for name in ("whole", "part", "of"))
        return whole + part / of if of and part < of else None
    if found["top"]:
        top, bottom = _decimal(found["top"]), _decimal(found["bottom"])
        return top / bottom if top is not None and bottom else None
    value = _decimal(found["number"])
    exponent = int(found["e"] or found["ten"] or 0)
    if value is None or abs(exponent) > MAX_EXPONENT:
        return None
    return value * Fraction(10) ** exponent if exponent else value


def _decimal(written: str) -> Fraction | None:
    digits = written.replace(",", "")
    return Fraction(Decimal(digits)) if len(digits) <= MAX_DIGITS else None


def _with_unit(value: Fraction, currency: str, rest: str) -> Quantity | None:
    """Read what stands after the number: nothing, percent, *million*, a unit; None for anything else."""
    if _PERCENT.fullmatch(rest):
        return None if currency else Quantity(value / 100)
    scale, rest = scale_of(rest)
    value *= scale
    if not rest:
        return Quantity(value, canonical_unit(currency) or "")
    unit = canonical_unit(rest)
    if unit is None or (currency and unit != canonical_unit(currency)):
        return None
    return Quantity(value, unit)
