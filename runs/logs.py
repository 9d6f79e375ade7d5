"""The log of an attempt: what its process wrote, bounded by rotation and read by absolute byte.

``log.txt`` is what the process writes now; ``log-<first byte>.txt`` are older parts, each named after the
position of its first byte in the whole log. Positions go on over rotations and restarts, so one stays a
cursor whatever happens to the files. Bytes are kept as they came, ANSI colours included.
"""

import codecs
import contextlib
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import BinaryIO, NamedTuple

from runs.journal import LOG_NAME
from runs.models import Run

LOG_LIMIT_BYTES = 16 << 20
LOGS_KEPT = 4
TAIL_BYTES = 1 << 16

_ROTATED = re.compile(r"log-(\d{1,18})\.txt")
_FRESH_NAME = ".log-fresh.txt"
_STREAMS = (1, 2)
# A character of UTF-8 has at most this many bytes.
_CHARACTER = 4
_LOOKS = 10


@dataclass(frozen=True, slots=True)
class LogPiece:
    """A piece of a log, in absolute bytes.

    ``text`` stands in the bytes from ``offset`` up to ``next_offset``; the log has those from
    ``first_offset`` up to ``size``; ``skipped`` are bytes behind the position asked for that were deleted.
    """

    text: str = ""
    offset: int = 0
    next_offset: int = 0
    size: int = 0
    first_offset: int = 0
    skipped: int = 0


class _Part(NamedTuple):
    first: int
    end: int
    file: BinaryIO


def rotate_log(directory: Path, *, limit_bytes: int = LOG_LIMIT_BYTES, keep: int = LOGS_KEPT) -> bool:
    """Begin a new ``log.txt`` where the present one is longer than ``limit_bytes``.

    Called in the process whose output it is: the file descriptors 1 and 2 are moved to the new file, so
    nothing is lost, neither what is written meanwhile nor what C code writes. All but the newest ``keep``
    older parts are deleted.

    Returns:
        Whether there is a new file. Where the disk refuses, or the output goes elsewhere, all stays as it is.

    Raises:
        ValueError: for a ``keep`` below 1; the newest older part tells the position of the present one.
    """
    if keep < 1:
        raise ValueError("keep at least one older part of a log")
    present = directory / LOG_NAME
    try:
        stat = present.stat()
        streams = [stream for stream in _STREAMS if _is_same(os.fstat(stream), stat)]
        if stat.st_size <= limit_bytes or not streams:
            return False
        fresh = os.open(directory / _FRESH_NAME, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_TRUNC, 0o644)
        try:
            present.rename(directory / f"log-{_present_first(directory)}.txt")
            (directory / _FRESH_NAME).rename(present)
            for stream in streams:
                os.dup2(fresh, stream)
        finally:
            os.close(fresh)
        for first in _older(directory)[:-keep]:
            (directory / f"log-{first}.txt").unlink(missing_ok=True)
    except OSError:
        return False
    return True


def read_log(*, run: Run, attempt: int, offset: int | None, max_bytes: int) -> LogPiece:
    """Read a piece of an attempt's log.

    Of a log that still grows, the bytes of a character that is not complete are left for the next piece.

    Args:
        run: the run.
        attempt: number of the attempt; one that never was has an empty log.
        offset: absolute byte to start at; None gives the last ``max_bytes``. A position that was deleted
            gives what comes first of what is left.
        max_bytes: the most to read; a single character is given whole.

    Returns:
        The piece, bytes that are not UTF-8 replaced.
    """
    grows = run.is_alive and attempt == run.attempt
    return read_log_in(run.attempt_directory(attempt), offset=offset, max_bytes=max_bytes, grows=grows)


def read_log_in(directory: Path, *, offset: int | None, max_bytes: int, grows: bool) -> LogPiece:
    """Read a piece of the log that lies in a folder, as `read_log` does."""
    with ExitStack() as stack:
        parts = _open_parts(directory, stack)
        if not parts:
            return LogPiece()
        first, size = parts[0].first, parts[-1].end
        asked = max(first, size - max_bytes) if offset is None else offset
        start = min(size, next((max(asked, part.first) for part in parts if asked < part.end), size))
        data = _read(parts, start, max_bytes)
        if offset is None and start > first:
            # The last piece begins at a character, not within one.
            cut = _continuation_bytes(data)
            start, data = start + cut, data[cut:]
        text, used = _decode(data, more=grows or start + len(data) < size)
        if not used and start < size:
            # A whole character, however few bytes were asked for; at the end of a growing log it may wait.
            data = _read(parts, start, _CHARACTER)
            at_end = start + len(data) == size
            text, used = _decode(data, more=len(data) == _CHARACTER or (grows and at_end))
    skipped = 0 if offset is None else max(0, start - asked)
    return LogPiece(text, start, start + used, size, first, skipped)


def raw_log(directory: Path, *, piece_bytes: int = 1 << 20) -> Iterator[tuple[int, bytes]]:
    """Give all that is kept of the log in a folder, as it stands now: pieces, each with its absolute byte."""
    with ExitStack() as stack:
        for first, end, file in _open_parts(directory, stack):
            at = first
            file.seek(0)
            while at < end and (data := file.read(min(piece_bytes, end - at))):
                yield at, data
                at += len(data)


def log_tail(directory: Path, *, lines: int) -> str:
    """Give the last lines of the log in a folder, also where a rotation has just begun a new file."""
    text = read_log_in(directory, offset=None, max_bytes=TAIL_BYTES, grows=False).text
    return "\n".join(text.splitlines()[-lines:])


def _is_same(one: os.stat_result, other: os.stat_result) -> bool:
    return (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)


def _older(directory: Path) -> list[int]:
    """List the first bytes of the older parts, ascending."""
    try:
        names = [path.name for path in directory.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(int(found[1]) for found in map(_ROTATED.fullmatch, names) if found)


def _present_first(directory: Path) -> int:
    older = _older(directory)
    return older[-1] + (directory / f"log-{older[-1]}.txt").stat().st_size if older else 0


def _open_parts(directory: Path, stack: ExitStack) -> list[_Part]:
    """Open all parts of a log as they stood at one moment, oldest first."""
    for _ in range(_LOOKS):
        with ExitStack() as opened, contextlib.suppress(FileNotFoundError):
            before = _older(directory)
            files: list[BinaryIO] = [
                opened.enter_context((directory / f"log-{first}.txt").open("rb")) for first in before
            ]
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                files.append(opened.enter_context((directory / LOG_NAME).open("rb")))
            # The present file that was opened may just have become an older part.
            if _older(directory) == before:
                stack.enter_context(opened.pop_all())
                return list(_placed(before, files))
    return []


def _placed(firsts: list[int], files: list[BinaryIO]) -> Iterator[_Part]:
    end = 0
    for number, file in enumerate(files):
        first = firsts[number] if number < len(firsts) else end
        end = first + os.fstat(file.fileno()).st_size
        yield _Part(first, end, file)


def _read(parts: list[_Part], start: int, max_bytes: int) -> bytes:
    """Read on from an absolute byte, over the borders of parts, up to a part that is not there."""
    data = b""
    for first, end, file in parts:
        place = start + len(data)
        if first <= place < end and len(data) < max_bytes:
            file.seek(place - first)
            data += file.read(min(max_bytes - len(data), end - place))
    return data


def _continuation_bytes(data: bytes) -> int:
    """Count the bytes at the start that end a character of which the rest stands before."""
    count = sum(1 for _ in takewhile(lambda byte: byte & 0xC0 == 0x80, data[:_CHARACTER]))
    return count if count < _CHARACTER else 0


def _decode(data: bytes, *, more: bool) -> tuple[str, int]:
    """Give the text and the bytes used for it; with ``more`` to come, a character cut off waits."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = decoder.decode(data, final=not more)
    return text, len(data) - len(decoder.getstate()[0])
