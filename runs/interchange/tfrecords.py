"""The framing of TFRecord files: length, its checksum, data, its checksum.

Both checksums are masked CRC-32C, little-endian like the length of 64 bits. See
https://www.tensorflow.org/tutorials/load_data/tfrecord.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from runs.interchange.crc32c import crc32c, masked

_HEAD = struct.Struct("<QI")
_FOOT = struct.Struct("<I")
_CHUNK = 1 << 20
# Scalars are small; what is larger is a picture, a graph or a model, and is checked but not kept.
MAX_KEPT = 8 << 20


@dataclass(frozen=True, slots=True)
class Record:
    """A record at its offset: its data, or None where it is too large to hold scalars alone."""

    offset: int
    data: bytes | None


@dataclass(frozen=True, slots=True)
class Damage:
    """What is wrong at an offset; ``torn``: the file just ends there, as after a crash or while written.

    ``ends``: nothing behind it can be read, for nobody knows where the next record begins.
    """

    offset: int
    what: str
    torn: bool = False
    ends: bool = True


def read_records(file: BinaryIO, *, size: int) -> Iterator[Record | Damage]:
    """Give the records of a file of ``size`` bytes in order, and what is damaged.

    Memory stays bounded whatever lengths the file claims.
    """
    offset = 0
    while offset < size:
        head = file.read(_HEAD.size)
        if len(head) < _HEAD.size:
            yield Damage(offset, f"the last {len(head)} bytes are no whole record", torn=True)
            return
        length, check = _HEAD.unpack(head)
        if masked(crc32c(head[:8])) != check:
            yield Damage(offset, "the checksum of the record's length is wrong")
            return
        left = size - offset - _HEAD.size
        if length + _FOOT.size > left:
            what = f"the last {size - offset} bytes are no whole record (it is to have {length} bytes)"
            yield Damage(offset, what, torn=True)
            return
        data, value = _read(file, length)
        foot = file.read(_FOOT.size)
        if len(foot) < _FOOT.size:
            yield Damage(offset, "the file became shorter while it was read", torn=True)
            return
        if masked(value) == _FOOT.unpack(foot)[0]:
            yield Record(offset, data)
        else:
            yield Damage(offset, f"the checksum of the record's {length} bytes is wrong", ends=False)
        offset += _HEAD.size + length + _FOOT.size


def _read(file: BinaryIO, length: int) -> tuple[bytes | None, int]:
    if length <= MAX_KEPT:
        data = file.read(length)
        return data, crc32c(data)
    value = 0
    while length > 0:
        chunk = file.read(min(length, _CHUNK))
        if not chunk:
            break
        value = crc32c(chunk, value)
        length -= len(chunk)
    return None, value


def framed(data: bytes) -> bytes:
    """Frame one record."""
    length = struct.pack("<Q", len(data))
    return b"".join((length, _FOOT.pack(masked(crc32c(length))), data, _FOOT.pack(masked(crc32c(data)))))
