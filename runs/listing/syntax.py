"""The search language of the list of runs: text into terms; what they mean is in `fields`."""

import re
from dataclasses import dataclass
from typing import Final

from tunix_site.errors import InvalidInputError

LONGEST = 2000
MOST_TERMS = 50
# Each value becomes a condition or two of its own, and SQLite nests no more than 1,000 of them.
MOST_VALUES = 200
QUOTES: Final = '"“”„'
_FIELD = re.compile(r"[A-Za-z_][\w.]*")
_OPERATOR = re.compile(r"!=|<=|>=|[:=<>]")


class SearchError(InvalidInputError):
    """A search that means nothing; ``word`` is the part that is wrong."""

    def __init__(self, message: str, *, word: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.word = word


@dataclass(frozen=True, slots=True)
class Term:
    """One condition: ``field`` compared with ``values`` (any of them), or, without a field, free text.

    ``operator`` is one of ``:``, ``=``, ``!=``, ``<``, ``<=``, ``>``, ``>=``; ``text`` is how it was written.
    """

    field: str
    operator: str
    values: tuple[str, ...]
    negated: bool
    text: str


def parse(query: str) -> list[Term]:
    """Read a search: terms between spaces, all of which must hold.

    Raises:
        SearchError: naming the word that cannot be read.
    """
    if len(query) > LONGEST:
        raise SearchError(f"The search has {len(query)} characters; at most {LONGEST} are read.", word="")
    query = query.replace("\x00", "")
    terms: list[Term] = []
    place = 0
    while True:
        while place < len(query) and query[place].isspace():
            place += 1
        if place >= len(query):
            return terms
        if len(terms) == MOST_TERMS:
            raise SearchError(f"The search has more than {MOST_TERMS} terms.", word=query[place : place + 40])
        term, place = _term(query, place)
        terms.append(term)
        if sum(len(one.values) for one in terms) > MOST_VALUES:
            raise SearchError(f"The search has more than {MOST_VALUES} values.", word=term.text)


def _term(query: str, start: int) -> tuple[Term, int]:
    negated = query[start] == "-" and start + 1 < len(query) and not query[start + 1].isspace()
    place = start + negated
    name = _FIELD.match(query, place)
    operator = _OPERATOR.match(query, name.end()) if name else None
    if name is None or operator is None:
        values, end = _values(query, place, several=False)
        return Term("", ":", values, negated, query[start:end]), end
    values, end = _values(query, operator.end(), several=True)
    text = query[start:end]
    if not any(values):
        raise SearchError(
            f"{text!r} has no value.",
            word=text,
            hint=f"Write it right behind, as in {name[0]}{operator[0]}1.",
        )
    return Term(name[0].lower(), operator[0], values, negated, text), end


def _values(query: str, place: int, *, several: bool) -> tuple[tuple[str, ...], int]:
    """Read up to the next space outside of quotes; ``several``: a comma begins another value."""
    values = [""]
    while place < len(query) and not query[place].isspace():
        letter = query[place]
        if letter in QUOTES:
            end = next((i for i in range(place + 1, len(query)) if query[i] in QUOTES), None)
            if end is None:
                raise SearchError(
                    f"The quote before {query[place + 1 : place + 41]!r} is never closed.",
                    word=query[place:],
                    hint='Add a ".',
                )
            values[-1] += query[place + 1 : end]
            place = end + 1
            continue
        if letter == "," and several:
            values.append("")
        else:
            values[-1] += letter
        place += 1
    kept = tuple(value for value in values if value) or ("",)
    return kept, place
