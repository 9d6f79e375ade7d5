"""Conditions that terms of a search become: one function a kind of value, each checks what was written."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Q
from django.db.models.lookups import GreaterThan, GreaterThanOrEqual, LessThan, LessThanOrEqual

from runs.listing import values

ORDER: Final = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}
EXPRESSIONS: Final = {
    "<": LessThan,
    "<=": LessThanOrEqual,
    ">": GreaterThan,
    ">=": GreaterThanOrEqual,
}
NOTHING: Final = Q(pk__in=[])
EQUAL: Final = frozenset({":", "="})


@dataclass(frozen=True, slots=True)
class Asked:
    """One comparison that a search asks for: operator and value, who searches, and when."""

    operator: str
    text: str
    user: AbstractBaseUser | AnonymousUser | None
    now: dt.datetime


class WrongValueError(Exception):
    """A value that does not fit its field; the text says what would."""


type Condition = Callable[[Asked], Q]
type Reader = Callable[[str], float | None]


def measured(path: str, read: Reader, what: str) -> Condition:
    """Compare a column with a number; ``a..b`` means from a to b."""

    def condition(asked: Asked) -> Q:
        if asked.operator in EQUAL and ".." in asked.text:
            low, _, high = asked.text.partition("..")
            return compared(path, ">=", known(read, low, what)) & compared(
                path, "<=", known(read, high, what)
            )
        return compared(path, asked.operator, known(read, asked.text, what))

    return condition


def compared(path: str, operator: str, value: float) -> Q:
    """Compare a column, or a key of its JSON, with a number."""
    exact = int(value) if float(value).is_integer() else value
    return Q(**{path if operator in EQUAL else f"{path}__{ORDER[operator]}": exact})


def known(read: Reader, text: str, what: str) -> float:
    """Read a number.

    Raises:
        WrongValueError: where it is none.
    """
    value = read(text)
    if value is None:
        raise WrongValueError(what)
    return value


def whole(path: str, what: str) -> Condition:
    """Compare a column of whole numbers."""
    inner = measured(path, values.number, what)

    def condition(asked: Asked) -> Q:
        single = asked.operator in EQUAL and ".." not in asked.text
        if single and not known(values.number, asked.text, what).is_integer():
            return NOTHING
        return inner(asked)

    return condition


def calculated(expression: Any, read: Reader, what: str, *, where: Q, unit: Any = float) -> Condition:
    """Compare something worked out of several columns, where there is such a thing."""

    def condition(asked: Asked) -> Q:
        low, between, high = asked.text.partition("..")
        first = unit(known(read, low, what))
        if asked.operator in EQUAL:
            last = unit(known(read, high, what)) if between else first
            return where & Q(GreaterThanOrEqual(expression, first)) & Q(LessThanOrEqual(expression, last))
        return where & Q(EXPRESSIONS[asked.operator](expression, first))

    return condition


def moment(path: str) -> Condition:
    """Compare a time with a day, a month, a minute or how long ago it was."""
    what = "a day as 2026-01-31, a month as 2026-01, today, or how long ago: 7d, 12h"

    def condition(asked: Asked) -> Q:
        span = values.moments(asked.text, now=asked.now)
        if span is None:
            raise WrongValueError(what)
        start, end = span
        match asked.operator:
            case ">":
                return Q(**{f"{path}__{'gte' if end > start else 'gt'}": end})
            case ">=":
                return Q(**{f"{path}__gte": start})
            case "<":
                return Q(**{f"{path}__lt": start})
            case "<=":
                return Q(**{f"{path}__{'lt' if end > start else 'lte'}": end})
        return Q(**{f"{path}__gte": start, f"{path}__lt": end})

    return condition


def containing(*paths: str) -> Condition:
    """Look for text within columns (``:``), or for exactly that text (``=``)."""

    def condition(asked: Asked) -> Q:
        found = Q()
        for path in paths:
            found |= Q(**{f"{path}__{'icontains' if asked.operator == ':' else 'iexact'}": asked.text})
        return found

    return condition


def one_of(path: str, words: Sequence[str], groups: Mapping[str, Sequence[str]] | None = None) -> Condition:
    """Compare a column with one of a few words, or with a group of them."""
    several = groups or {}

    def condition(asked: Asked) -> Q:
        word = asked.text.lower()
        if word in several:
            return Q(**{f"{path}__in": list(several[word])})
        if word not in words:
            raise WrongValueError(", ".join([*words, *several]))
        return Q(**{path: word})

    return condition


def truth(yes: Q) -> Condition:
    """Tell yes from no."""

    def condition(asked: Asked) -> Q:
        match asked.text.lower():
            case "yes" | "true" | "1":
                return yes
            case "no" | "false" | "0":
                return ~yes
        raise WrongValueError("yes or no")

    return condition
