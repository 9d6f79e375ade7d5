"""Read from a form what a verb needs."""

from collections.abc import Mapping
from typing import Any, get_args

from runs.listing.organising import read_tags
from runs.queueing import Where
from runs.verbs import Verb
from tunix_site.errors import InvalidInputError

PLACES: tuple[str, ...] = get_args(Where)
LONGEST_NUMBER = 6


def read_needs(verb: Verb, form: Mapping[str, Any]) -> dict[str, Any]:
    """Read the values that a verb cannot do without.

    Raises:
        InvalidInputError: naming the value that is missing or no such thing.
    """
    values: dict[str, Any] = {}
    for name in verb.needs:
        text = str(form.get(name, "")).strip()
        if name == "tags":
            values[name] = read_tags(text)
        elif name == "where":
            if text not in PLACES:
                raise InvalidInputError(f"There is no place {text[:40]!r} in the queue: {', '.join(PLACES)}.")
            values[name] = text
        elif text.removeprefix("-").isdecimal() and len(text) <= LONGEST_NUMBER:
            values[name] = int(text)
        else:
            raise InvalidInputError(f"{name}: {text[:40]!r} is no whole number.")
    return values
