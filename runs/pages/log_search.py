"""Search a whole log for a text, with the lines around each hit; and read it around a line or byte."""

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from runs.pages.log_lines import Piece, RawLine, lines_of, text_of
from tunix_site.errors import InvalidInputError

LONGEST_QUERY: Final = 200
MOST_HITS: Final = 100
MOST_CONTEXT: Final = 20
SHOWN_CHARACTERS: Final = 600
BEFORE, AFTER = 60, 240


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line as it is shown: ``parts`` are pieces of its text, each with whether it was looked for."""

    number: int
    offset: int
    parts: list[tuple[str, bool]]
    hit: bool

    @property
    def text(self) -> str:
        """The whole line."""
        return "".join(text for text, _ in self.parts)


@dataclass(slots=True)
class Found:
    """What a search found: groups of lines that follow one another, and how many of them are hits.

    ``after`` is the number of the last line that was looked at where there are more hits, else None.
    """

    query: str
    groups: list[list[LogLine]] = field(default_factory=list)
    hits: int = 0
    after: int | None = None


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Lines around a place: ``target`` is the number of the line asked for; 0 where there is none."""

    lines: list[LogLine]
    target: int
    has_before: bool
    has_after: bool


def search_log(
    directory: Path, *, query: str, context: int = 2, most: int = MOST_HITS, after: int = 0
) -> Found:
    """Find the lines behind line ``after`` that hold a text, upper and lower case being the same.

    Raises:
        InvalidInputError: for a text that is empty or too long.
    """
    if not query.strip() or len(query) > LONGEST_QUERY or "\n" in query:
        raise InvalidInputError(f"Search for one line of 1 to {LONGEST_QUERY} characters.")
    pattern = re.compile(re.escape(query), re.IGNORECASE)
    needle = query.lower().encode() if query.isascii() else None

    def may_hold(data: bytes) -> bool:
        """Look quickly, so that most lines need not be taken apart: colours may stand within a word."""
        if b"\x1b" in data:
            return True
        if needle is not None:
            return needle in data.lower()
        return bool(pattern.search(data.decode("utf-8", "replace")))

    def wants(piece: Piece) -> bool:
        return piece.number + piece.lines > after and may_hold(piece.data)

    found, before, left = Found(query), deque[RawLine](maxlen=context), 0
    last = 0
    for raw in lines_of(directory, wants=wants, edge=context):
        hit = raw.number > after and may_hold(raw.data) and bool(pattern.search(text_of(raw.data)))
        if hit and found.hits >= most:
            found.after = last
            break
        if hit:
            found.hits, left, last, text = found.hits + 1, context, raw.number, text_of(raw.data)
            group = [_line(one, text_of(one.data), pattern, hit=False) for one in before]
            before.clear()
            _add(found.groups, [*group, _line(raw, text, pattern, hit=True)])
        elif left and found.groups and found.groups[-1][-1].number == raw.number - 1:
            left -= 1
            found.groups[-1].append(_line(raw, text_of(raw.data), pattern, hit=False))
        else:
            left = 0
            if before and before[-1].number != raw.number - 1:
                before.clear()
            before.append(raw)
    return found


def read_around(directory: Path, *, line: int | None = None, byte: int | None = None) -> Excerpt:
    """Read the lines around one that is named by its number, or by any of its bytes."""

    def wants(piece: Piece) -> bool:
        if line is not None:
            return piece.number - AFTER <= line < piece.number + piece.lines + AFTER
        return piece.offset <= (byte or 0) < piece.offset + len(piece.data)

    before, lines, target, more = deque[RawLine](maxlen=BEFORE), [], 0, False
    for raw in lines_of(directory, wants=wants, edge=max(BEFORE, AFTER)):
        within = raw.offset <= (byte or 0) <= raw.offset + len(raw.data)
        here = within if line is None else raw.number == line
        if here and not target:
            target = raw.number
            lines = [*before, raw]
        elif not target:
            before.append(raw)
        elif len(lines) < BEFORE + AFTER:
            lines.append(raw)
        else:
            more = True
            break
    shown = [_plain(one) for one in lines]
    return Excerpt(shown, target, bool(shown) and shown[0].number > 1, more)


def read_end(directory: Path) -> Excerpt:
    """Read the last lines; the target is the very last one."""
    kept = deque[RawLine](maxlen=BEFORE + AFTER)
    for raw in lines_of(directory, wants=lambda _: False, edge=BEFORE + AFTER):
        if kept and kept[-1].number != raw.number - 1:
            kept.clear()
        kept.append(raw)
    shown = [_plain(one) for one in kept]
    return Excerpt(shown, shown[-1].number if shown else 0, bool(shown) and shown[0].number > 1, False)


def _plain(raw: RawLine) -> LogLine:
    return LogLine(raw.number, raw.offset, [(_clip(text_of(raw.data)), False)], False)


def _add(groups: list[list[LogLine]], lines: list[LogLine]) -> None:
    """Join lines to the group before them where they follow it."""
    if groups and groups[-1][-1].number == lines[0].number - 1:
        groups[-1] += lines
    else:
        groups.append(lines)


def _line(raw: RawLine, text: str, pattern: re.Pattern[str], *, hit: bool) -> LogLine:
    parts = list(_parts(text, pattern)) if hit else [(_clip(text), False)]
    return LogLine(raw.number, raw.offset, parts, hit)


def _parts(text: str, pattern: re.Pattern[str]) -> Iterator[tuple[str, bool]]:
    """Cut a line at what was looked for; of a long line only what stands around the first hit is shown."""
    first = pattern.search(text)
    start = max(0, first.start() - SHOWN_CHARACTERS // 2) if first else 0
    end = start + SHOWN_CHARACTERS
    if start:
        yield "…", False
    at = start
    for hit in pattern.finditer(text, start, end):
        yield text[at : hit.start()], False
        yield hit[0], True
        at = hit.end()
    yield text[at:end] + ("…" if len(text) > end else ""), False


def _clip(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"
