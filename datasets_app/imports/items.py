"""One record as it lies in a file."""

from typing import NamedTuple

from datasets_app.formats.reading import Fields

SHOWN = 65_536


class Item(NamedTuple):
    """A record: where it begins, its bytes, and its fields where the container gave them already.

    ``line`` counts from 1, ``offset`` is in bytes of the unpacked file. ``problem`` says why the
    record cannot even be decoded.
    """

    line: int
    offset: int
    raw: bytes
    fields: Fields | None = None
    field: str = ""
    problem: str = ""


def shorten(raw: bytes) -> bytes:
    """Give the start of a record that is too long to keep."""
    return raw[:SHOWN]
