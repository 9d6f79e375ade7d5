"""The lines of a journal: how one is sealed, and how a file of them is read and checked.

A line is one JSON object. Its last two keys are the line's number in the file and a checksum of all
bytes before the checksum's own key::

    {"k":"metrics","t":1764000000.1,"s":7,"v":{"train/loss":0.5},"i":12,"c":"9ae1f6b0"}

Older journals have neither key, and are read all the same. What a reader finds wrong becomes an event
of its own (``damaged``, ``missing``), so that it can be reported and hides nothing behind it.
"""

import json
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple
from zlib import crc32

import msgspec

FORMAT_VERSION = 2
# Bytes looked at before an offset to learn the number of the line there.
LOOK_BACK = 1 << 16

_SEAL_BYTES = len(',"c":"00000000"}\n')
_NUMBER = re.compile(rb',"i":(\d{1,15}),"c":"[0-9a-f]{8}"\}\n')
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_decode = msgspec.json.Decoder().decode


def seal(event: Mapping[str, Any], number: int) -> bytes:
    """Give an event as the line with this number, its newline included.

    Raises:
        ValueError: for a number that is not finite; JSON has none.
    """
    # A lone surrogate, which UTF-8 cannot hold, leaves a mark instead of stopping a training.
    body = f'{_encode(event)[:-1]},"i":{number}'.encode("utf-8", "replace")
    return b'%b,"c":"%08x"}\n' % (body, crc32(body))


def is_sealed(line: bytes) -> bool:
    """Tell whether a line ends in a checksum, right or wrong."""
    return line[-_SEAL_BYTES : 6 - _SEAL_BYTES] == b',"c":"' and line[-3:] == b'"}\n'


def is_whole(line: bytes) -> bool:
    """Tell whether a sealed line is as it was written."""
    return line[6 - _SEAL_BYTES : -3] == b"%08x" % crc32(line[:-_SEAL_BYTES])


class Place(NamedTuple):
    """Where a reader stands: the number that the next line should have.

    ``unsure`` lines came since the last one whose number is known, so that the next may have a number
    higher by as many. ``number`` is None where nothing before tells it.
    """

    number: int | None
    unsure: int = 0


def place_of(file: BinaryIO, offset: int) -> Place:
    """Find the number that the line at ``offset`` should have, from what stands before it."""
    if offset == 0:
        return Place(0)
    start = max(0, offset - LOOK_BACK)
    file.seek(start)
    before = file.read(offset - start)
    for found in reversed(list(_NUMBER.finditer(before))):
        began = before.rfind(b"\n", 0, found.start()) + 1
        # The checksum of a line that begins before the window is taken for right.
        if is_whole(before[began : found.end()]) or (began == 0 and start > 0):
            return Place(int(found[1]) + 1, before.count(b"\n", found.end()))
    return Place(0, before.count(b"\n")) if start == 0 else Place(None)


def read_events(
    path: Path, offset: int, *, limit_bytes: int = 8 << 20
) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield the complete events behind ``offset`` with the offset after each.

    Reads at most about ``limit_bytes``; a missing file has no events. A line that is no JSON object or has
    a wrong checksum (a torn write in the middle, a damaged disk) is given as a ``damaged`` event with its
    ``start``, ``end``, ``bytes``, the ``line`` number that it should have (None: unknown) and ``what`` is
    wrong. Before a line whose number is too high comes a ``missing`` event with the ``first`` and ``last``
    number that are not there.
    """
    try:
        file = path.open("rb")
    except (FileNotFoundError, NotADirectoryError):
        return
    with file:
        number, unsure = place_of(file, offset)
        file.seek(offset)
        stop = offset + limit_bytes
        for line in file:
            if not line.endswith(b"\n"):
                return
            start, offset = offset, offset + len(line)
            event, own, what = _parse(line)
            if event is None:
                known = None if number is None else number + unsure
                yield _damaged(start, offset, known, what), offset
            if own is None:
                unsure += 1
            else:
                first = own - (event["count"] - 1 if event and event["k"] == "lost" else 0)
                if number is not None and first > number + unsure:
                    yield {"k": "missing", "t": time.time(), "first": number, "last": first - 1}, start
                number, unsure = own + 1, 0
            if event is not None:
                yield event, offset
            if offset >= stop:
                return


def _parse(line: bytes) -> tuple[dict[str, Any] | None, int | None, str]:
    """Give the event of a line and its number, or what is wrong with the line."""
    sealed = is_sealed(line)
    if sealed and not is_whole(line):
        return None, None, "its checksum is wrong"
    try:
        event = _decode(line)
    except (ValueError, RecursionError):
        return None, None, "it is no JSON"
    if not (isinstance(event, dict) and "k" in event and "t" in event):
        return None, None, "it is no event"
    if not sealed:
        # Whoever writes a number writes a checksum too: it was here and is not any more.
        return (None, None, "its checksum is missing") if {"i", "c"} & event.keys() else (event, None, "")
    del event["c"]
    own = event.pop("i", None)
    if type(own) is not int or (event["k"] == "lost" and type(event.get("count")) is not int):
        return None, None, "it has no number"
    return event, own, ""


def _damaged(start: int, end: int, line: int | None, what: str) -> dict[str, Any]:
    facts = {"start": start, "end": end, "bytes": end - start, "line": line, "what": what}
    return {"k": "damaged", "t": time.time(), **facts}


def torn_tail(path: Path, offset: int = 0) -> int:
    """Count the bytes at the end of a journal, behind ``offset``, that form no whole line.

    While the writer lives, that is a line on its way; once it is gone, what a crash has cut off.
    """
    try:
        file = path.open("rb")
    except (FileNotFoundError, NotADirectoryError):
        return 0
    with file:
        size = end = file.seek(0, 2)
        while end > offset:
            start = max(offset, end - LOOK_BACK)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                return size - (start + newline + 1)
            end = start
    return max(0, size - offset)


def in_words(event: Mapping[str, Any]) -> str:
    """Say what a ``damaged``, ``missing`` or ``lost`` event reports; empty for any other."""
    match event["k"]:
        case "damaged":
            which = "" if event.get("line") is None else f"line {event['line']}: "
            what = event.get("what", "it cannot be stored")
            return f"a journal line before byte {event['end']} could not be read ({which}{what})"
        case "missing" if event["first"] == event["last"]:
            return f"journal line {event['first']} is missing"
        case "missing":
            return f"journal lines {event['first']} to {event['last']} are missing"
        case "lost":
            count = event["count"]
            return f"{count} journal line{'s' if count != 1 else ''} found no room on the disk and were lost"
    return ""
