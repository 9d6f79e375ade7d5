"""The framing of W&B's offline files: blocks of 32 KiB that hold records, whole or in parts.

It is LevelDB's log format with a header of its own, and with the CRC-32 of zlib over type and data. See
https://github.com/google/leveldb/blob/main/doc/log_format.md.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from runs.interchange.tfrecords import Damage, Record

HEADER: Final = struct.pack("<4sHB", b":W&B", 0xBEE1, 0)
BLOCK: Final = 32768
_HEAD = struct.Struct("<IHB")
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4
# A record that is larger holds a table or a config of files, and is left out.
MAX_RECORD = 64 << 20


def read_records(file: BinaryIO, *, size: int) -> Iterator[Record | Damage]:
    """Give the records behind the header, which the caller has checked and read, and what is damaged."""
    parts: list[bytes] = []
    start = held = 0
    for part in _parts(file, size):
        if isinstance(part, Damage):
            yield part
            if not part.torn:
                parts = []
            continue
        if (part.kind in {FULL, FIRST}) == bool(parts):
            yield Damage(part.offset, "a part of a record without those before it", ends=False)
            parts = []
            if part.kind in {MIDDLE, LAST}:
                continue
        if part.kind in {FULL, FIRST}:
            start, held = part.offset, 0
        held += len(part.data)
        # What is too large is counted, not kept.
        parts.append(part.data if held <= MAX_RECORD else b"")
        if part.kind in {FULL, LAST}:
            yield Record(start, b"".join(parts) if held <= MAX_RECORD else None)
            parts = []
    if parts:
        yield Damage(start, "the last record is not whole", torn=True)


@dataclass(frozen=True, slots=True)
class _Part:
    """A piece of a record, or all of it, as it lies within one block."""

    offset: int
    kind: int
    data: bytes


def _parts(file: BinaryIO, size: int) -> Iterator[_Part | Damage]:
    place = len(HEADER)
    while place < size:
        room = BLOCK - place % BLOCK
        if room < _HEAD.size:
            if file.read(room).strip(b"\0"):
                yield Damage(place, "the end of a block is not empty")
                return
            place += room
            continue
        head = file.read(_HEAD.size)
        if len(head) < _HEAD.size:
            yield Damage(place, f"the last {len(head)} bytes are no whole record", torn=True)
            return
        check, length, kind = _HEAD.unpack(head)
        if kind not in {FULL, FIRST, MIDDLE, LAST} or length > room - _HEAD.size:
            what = (
                f"no record begins here (type {kind}, {length} bytes)" if any(head) else "only zeros follow"
            )
            yield Damage(place, what, torn=not any(head))
            return
        data = file.read(length)
        if len(data) < length:
            yield Damage(place, f"the last {_HEAD.size + len(data)} bytes are no whole record", torn=True)
            return
        if zlib.crc32(data, zlib.crc32(bytes([kind]))) == check:
            yield _Part(place, kind, data)
        else:
            yield Damage(place, f"the checksum of the record's {length} bytes is wrong", ends=False)
        place += _HEAD.size + length


def framed(data: bytes, place: int) -> bytes:
    """Frame one record that begins at ``place`` in the file."""
    out = bytearray()
    begun = False
    while True:
        room = BLOCK - (place + len(out)) % BLOCK
        if room < _HEAD.size:
            out += bytes(room)
            continue
        part, data = data[: room - _HEAD.size], data[room - _HEAD.size :]
        kind = (MIDDLE if data else LAST) if begun else (FIRST if data else FULL)
        out += _HEAD.pack(zlib.crc32(part, zlib.crc32(bytes([kind]))), len(part), kind) + part
        begun = True
        if not data:
            return bytes(out)
