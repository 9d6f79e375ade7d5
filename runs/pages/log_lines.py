"""The lines of a whole log, each with its number and first byte; pieces that nobody wants are passed over."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from runs.logs import raw_log

# Of a line that is longer, the rest is not looked at: a progress bar may write one of many megabytes.
LONGEST_LINE: Final = 1 << 20
PIECE_BYTES: Final = 1 << 20

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class RawLine(NamedTuple):
    """A line: its number from 1 on among those that are kept, its first byte in the whole log, its bytes."""

    number: int
    offset: int
    data: bytes


class Piece(NamedTuple):
    """Some whole lines: the number and byte of the first one, and all their bytes."""

    number: int
    offset: int
    data: bytes
    lines: int


def lines_of(directory: Path, *, wants: Callable[[Piece], bool], edge: int) -> Iterator[RawLine]:
    """Give the lines of the pieces that are wanted; of the others ``edge`` lines at either end."""
    for piece in _pieces(directory):
        if wants(piece) or piece.lines <= 2 * edge:
            yield from _split(piece)
        elif edge:
            yield from _ends(piece, edge)


def text_of(data: bytes) -> str:
    """Give a line as people see it: without colours, and only what a progress bar wrote last."""
    text = _ANSI.sub("", data.decode("utf-8", "replace")).rstrip("\r\n")
    return _CONTROL.sub("", text.rsplit("\r", 1)[-1])


def _pieces(directory: Path) -> Iterator[Piece]:
    """Cut the log into pieces of whole lines; the last line may be one that is still being written."""
    number, offset, rest, dropped = 1, 0, b"", 0
    for at, data in raw_log(directory, piece_bytes=PIECE_BYTES):
        if not rest and not dropped:
            offset = at
        start, end = 0, data.rfind(b"\n") + 1
        if dropped and end:
            # The end of a long line: what was kept of it stands for it.
            start = data.index(b"\n") + 1
            yield Piece(number, offset, rest + b"\n", 1)
            number, offset, rest, dropped = number + 1, at + start, b"", 0
        if start < end:
            body = rest + data[start:end]
            lines = body.count(b"\n")
            yield Piece(number, offset, body, lines)
            number, offset, rest = number + lines, at + end, b""
        left = data[max(start, end) :]
        room = LONGEST_LINE - len(rest)
        rest, dropped = rest + left[:room], dropped + max(0, len(left) - room)
    if rest:
        yield Piece(number, offset, rest, 1)


def _split(piece: Piece) -> Iterator[RawLine]:
    offset = piece.offset
    for place, line in enumerate(piece.data.split(b"\n")[: piece.lines]):
        yield RawLine(piece.number + place, offset, line)
        offset += len(line) + 1


def _ends(piece: Piece, edge: int) -> Iterator[RawLine]:
    offset = piece.offset
    for place, line in enumerate(piece.data.split(b"\n", edge)[:edge]):
        yield RawLine(piece.number + place, offset, line)
        offset += len(line) + 1
    last = piece.data.removesuffix(b"\n").rsplit(b"\n", edge)[1:]
    offset = piece.offset + len(piece.data) - sum(len(line) + 1 for line in last)
    for place, line in enumerate(last):
        yield RawLine(piece.number + piece.lines - len(last) + place, offset, line)
        offset += len(line) + 1
