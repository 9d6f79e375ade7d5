"""The wire format of protocol buffers, as far as histories need it: fields in, fields out.

A message is walked without a schema, one level at a time; who calls decides which field to open, so
no input can make it recurse. See https://protobuf.dev/programming-guides/encoding/.
"""

import struct
from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_MAX_SHIFT = 63

type Value = int | bytes


class WireError(ValueError):
    """The bytes are no protocol buffer; the message says where, in bytes from the message's start."""


def read_fields(data: bytes) -> Iterator[tuple[int, int, Value]]:
    """Give number, wire type and value of each field; of fixed and length-delimited ones the bytes.

    Raises:
        WireError: for a field that is cut off, or no field.
    """
    at, end = 0, len(data)
    while at < end:
        start = at
        key, at = read_varint(data, at)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise WireError(f"field number 0 at byte {start}")
        if kind == VARINT:
            value, at = read_varint(data, at)
            yield number, kind, value
            continue
        if kind == BYTES:
            size, at = read_varint(data, at)
        elif kind == FIXED64:
            size = 8
        elif kind == FIXED32:
            size = 4
        else:
            raise WireError(f"wire type {kind} at byte {start}")
        if size > end - at:
            raise WireError(f"field {number} at byte {start} claims {size} bytes where {end - at} are left")
        yield number, kind, data[at : at + size]
        at += size


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Give a varint as an unsigned number of 64 bits, and the place behind it.

    Raises:
        WireError: when it is cut off or longer than ten bytes.
    """
    start, value, shift = at, 0, 0
    while True:
        if at >= len(data):
            raise WireError(f"a number is cut off at byte {start}")
        if shift > _MAX_SHIFT:
            raise WireError(f"a number of more than ten bytes at byte {start}")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at
        shift += 7


def signed(value: int) -> int:
    """Read an unsigned number of 64 bits as the signed one that int64 and int32 fields hold."""
    return value - (1 << 64) if value >> 63 else value


def text(value: Value) -> str:
    """Read a string field; bytes that are no UTF-8 become replacement characters."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else ""


def real(value: Value) -> float:
    """Read a fixed field as a float of its width.

    Raises:
        WireError: when the field is no fixed one.
    """
    if isinstance(value, bytes) and len(value) in {4, 8}:
        return float(struct.unpack("<d" if len(value) == 8 else "<f", value)[0])
    raise WireError("a float field that holds none")


def message(value: Value) -> bytes:
    """Read a field that holds a message.

    Raises:
        WireError: when it holds a number.
    """
    if isinstance(value, bytes):
        return value
    raise WireError("a number where a message belongs")


def number(value: Value) -> int:
    """Read a field that holds a signed number.

    Raises:
        WireError: when it holds bytes.
    """
    if isinstance(value, int):
        return signed(value)
    raise WireError("bytes where a number belongs")


def varint(value: int) -> bytes:
    """Write a number, negative ones as two's complement of 64 bits."""
    value &= 0xFFFF_FFFF_FFFF_FFFF
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def int_field(number: int, value: int) -> bytes:
    """Write a number as a field."""
    return varint(number << 3 | VARINT) + varint(value)


def bytes_field(number: int, value: bytes | str) -> bytes:
    """Write a string, bytes or message as a field."""
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | BYTES) + varint(len(data)) + data


def double_field(number: int, value: float) -> bytes:
    """Write a float of 64 bits as a field."""
    return varint(number << 3 | FIXED64) + struct.pack("<d", value)


def float_field(number: int, value: float) -> bytes:
    """Write a float of 32 bits as a field; what is too large for one becomes infinite."""
    try:
        packed = struct.pack("<f", value)
    except OverflowError:
        packed = struct.pack("<f", float("inf") if value > 0 else float("-inf"))
    return varint(number << 3 | FIXED32) + packed
