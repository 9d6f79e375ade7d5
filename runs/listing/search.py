"""Find the runs that a search asks for."""

import datetime as dt
import difflib
from typing import Final

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Q, QuerySet
from django.utils import timezone

from runs.listing.conditions import EQUAL, Asked, WrongValueError
from runs.listing.fields import BY_NAME, CONFIG_FIELDS, FIELDS, Field, of_number
from runs.listing.syntax import SearchError, Term, parse
from runs.models import Run

SHOWN: Final = Q(archived_at__isnull=True)


def search_condition(
    query: str, *, user: AbstractBaseUser | AnonymousUser | None = None, now: dt.datetime | None = None
) -> Q:
    """Give the condition that a search means. Archived runs are left out unless it says ``archived``.

    Raises:
        SearchError: naming the word that means nothing, and what would fit.
    """
    now = now or timezone.now()
    terms = parse(query)
    found = Q() if any(_is_about_archive(term) for term in terms) else SHOWN
    for term in terms:
        found &= _condition(term, user, now)
    return found


def search_runs(
    query: str, *, user: AbstractBaseUser | AnonymousUser | None = None, now: dt.datetime | None = None
) -> QuerySet[Run]:
    """List the runs that fit a search, in no order.

    Raises:
        SearchError: as `search_condition`.
    """
    return Run.objects.filter(search_condition(query, user=user, now=now)).order_by()


def _is_about_archive(term: Term) -> bool:
    return term.field == "archived"


def _condition(term: Term, user: AbstractBaseUser | AnonymousUser | None, now: dt.datetime) -> Q:
    if not term.field:
        found = _free_text(term.values[0])
        return ~found if term.negated else found
    field = BY_NAME.get(term.field)
    if field is None:
        raise _unknown(term)
    operator, negated = term.operator, term.negated
    if operator == "!=":
        operator, negated = "=", not negated
    if operator not in EQUAL and not field.ordered:
        raise SearchError(
            f"{term.text!r}: {field.name} cannot be compared with {operator}.",
            word=term.text,
            hint=f"Write for example {field.example}.",
        )
    found = Q()
    for value in term.values:
        found |= _one(term, field, Asked(operator, value, user, now))
    return ~found if negated else found


def _one(term: Term, field: Field, asked: Asked) -> Q:
    value = asked.text
    if field.empty is not None and asked.operator in EQUAL and value.lower() in {"none", "any"}:
        if field.name == "archived":
            return Q(pk__isnull=False) if value.lower() == "any" else field.empty
        empty = Q(pk__in=Run.objects.filter(field.empty).values("pk")) if field.name == "tag" else field.empty
        return empty if value.lower() == "none" else ~empty
    try:
        return field.condition(asked)
    except WrongValueError as error:
        raise SearchError(
            f"{term.text!r}: {value[:60]!r} does not fit {field.name}.",
            word=term.text,
            hint=f"Write {error}.",
        ) from error


def _free_text(text: str) -> Q:
    return Q(name__icontains=text) | Q(notes__icontains=text) | of_number(text.removeprefix("#"))


def _unknown(term: Term) -> SearchError:
    names = [field.name for field in FIELDS]
    # Not with the short names alone: those of two letters are close to everything.
    near = difflib.get_close_matches(term.field.removeprefix("config."), [*names, *CONFIG_FIELDS], n=3)
    hint = f"Did you mean {' or '.join(near)}?" if near else f"There are: {', '.join(names)}."
    return SearchError(
        f"There is no field {term.field[:60]!r} to search by.",
        word=term.text,
        hint=f'{hint} Text with a colon goes into quotes: "{term.text[:60]}".',
    )
