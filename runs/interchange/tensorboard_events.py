"""Events of TensorBoard: the few fields that scalars need, read and written.

The messages are ``Event``, ``Summary``, ``TensorProto`` and ``SessionLog`` of TensorFlow, and what the
hparams plugin keeps in a summary's metadata.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from runs.interchange.wire import (
    WireError,
    bytes_field,
    double_field,
    float_field,
    int_field,
    message,
    number,
    read_fields,
    read_varint,
    real,
    signed,
    text,
)

SCALARS: Final = "scalars"
SESSION_START: Final = 1
# DataType of TensorFlow: how one element lies in ``tensor_content``, and the field of listed values.
_ELEMENT: Final[dict[int, tuple[str, int]]] = {
    1: ("<f", 5),
    2: ("<d", 6),
    3: ("<i", 7),
    4: ("<B", 7),
    5: ("<h", 7),
    6: ("<b", 7),
    9: ("<q", 10),
    10: ("<?", 11),
    14: ("bfloat16", 13),
    17: ("<H", 7),
    19: ("<e", 13),
    22: ("<I", 16),
    23: ("<Q", 17),
}


@dataclass(slots=True)
class Scalar:
    """A value under its tag; ``plugin`` is whose it says it is, empty where it does not say."""

    tag: str
    value: float | None = None
    plugin: str = ""
    from_tensor: bool = False


@dataclass(slots=True)
class Event:
    """What an event holds of use: ``restart``: a writer began anew at this step; ``others``: other values."""

    wall_time: float = 0.0
    step: int = 0
    file_version: str = ""
    scalars: list[Scalar] = field(default_factory=list)
    others: int = 0
    restart: bool = False
    hparams: dict[str, Any] = field(default_factory=dict)


def read_event(data: bytes) -> Event:
    """Read one event.

    Raises:
        WireError: when it is none.
    """
    event = Event()
    for name, _, value in read_fields(data):
        match name:
            case 1:
                event.wall_time = real(value)
            case 2:
                event.step = number(value)
            case 3:
                event.file_version = text(value)
            case 5:
                for tag, _, item in read_fields(message(value)):
                    if tag == 1:
                        _read_value(message(item), event)
            case 7:
                status = [number(item) for tag, _, item in read_fields(message(value)) if tag == 1]
                event.restart = status[-1:] == [SESSION_START]
    return event


def _read_value(data: bytes, event: Event) -> None:
    scalar, content, other = Scalar(""), b"", False
    for name, _, value in read_fields(data):
        match name:
            case 1:
                scalar.tag = text(value)
            case 2:
                scalar.value, scalar.from_tensor = real(value), False
            case 8:
                scalar.value, scalar.from_tensor = _read_tensor(message(value)), True
                other = scalar.value is None
            case 9:
                scalar.plugin, content = _read_metadata(message(value))
            case 3 | 4 | 5 | 6:
                other = True
    if scalar.plugin == "hparams" and content:
        event.hparams.update(_read_hparams(content))
    elif scalar.value is not None:
        event.scalars.append(scalar)
    elif other:
        event.others += 1


def _read_metadata(data: bytes) -> tuple[str, bytes]:
    plugin, content = "", b""
    for name, _, value in read_fields(data):
        if name == 1:
            for tag, _, item in read_fields(message(value)):
                if tag == 1:
                    plugin = text(item)
                elif tag == 2:
                    content = message(item)
    return plugin, content


def _read_tensor(data: bytes) -> float | None:
    """Read a tensor of one number; None where it holds more, none, or no number."""
    kind, content = 0, b""
    listed: dict[int, list[tuple[int, int | bytes]]] = {}
    for name, wire_type, value in read_fields(data):
        match name:
            case 1:
                kind = number(value)
            case 2:
                if any(size != 1 for size in _sizes(message(value))):
                    return None
            case 4:
                content = message(value)
            case 5 | 6 | 7 | 10 | 11 | 13 | 16 | 17:
                listed.setdefault(name, []).append((wire_type, value))
    if kind not in _ELEMENT:
        return None
    how, place = _ELEMENT[kind]
    if content:
        return _unpacked(how, content)
    values = listed.get(place, [])
    # A tensor of zeros may list nothing at all.
    return _listed(how, *values[0]) if len(values) == 1 else (0.0 if not values else None)


def _sizes(shape: bytes) -> Iterator[int]:
    for name, _, value in read_fields(shape):
        if name == 2:
            yield next((number(item) for tag, _, item in read_fields(message(value)) if tag == 1), 0)


def _unpacked(how: str, content: bytes) -> float | None:
    if how == "bfloat16":
        how, content = "<f", b"\0\0" + content
    if len(content) != struct.calcsize(how):
        return None
    return float(struct.unpack(how, content)[0])


def _listed(how: str, wire_type: int, value: int | bytes) -> float | None:
    if how in {"<f", "<d"}:
        return real(value) if isinstance(value, bytes) and len(value) == struct.calcsize(how) else None
    if isinstance(value, bytes):
        if wire_type != 2:
            return None
        packed, end = read_varint(value, 0)
        if end != len(value):
            return None
        value = packed
    if how in {"<e", "bfloat16"}:
        return _unpacked(how, struct.pack("<H", value & 0xFFFF))
    return float(value if how == "<Q" else signed(value))


def _read_hparams(content: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, _, value in read_fields(content):
        if name != 3:
            continue
        for tag, _, entry in read_fields(message(value)):
            if tag == 1:
                parts = {place: item for place, _, item in read_fields(message(entry))}
                found[text(parts.get(1, b""))] = _read_json_value(message(parts.get(2, b"")))
    return found


def _read_json_value(data: bytes) -> Any:
    for name, _, value in read_fields(data):
        match name:
            case 2:
                return real(value)
            case 3:
                return text(value)
            case 4:
                return bool(number(value))
    return None


def version_event(wall_time: float) -> bytes:
    """Write the event that begins every file."""
    return double_field(1, wall_time) + bytes_field(3, "brain.Event:2")


def scalar_event(tag: str, *, step: int, wall_time: float, value: float, first: bool, exact: bool) -> bytes:
    """Write one scalar: as the field of 32 bits that all readers know; where ``exact`` as a tensor of 64.

    ``first``: it is the first of its tag, and says to which plugin the tag belongs.
    """
    if not exact:
        content = float_field(2, value)
    else:
        content = bytes_field(
            8, int_field(1, 2) + bytes_field(2, b"") + bytes_field(4, struct.pack("<d", value))
        )
    metadata = b""
    if first:
        metadata = bytes_field(9, bytes_field(1, bytes_field(1, SCALARS)) + int_field(4, 1))
    one = bytes_field(1, tag) + content + metadata
    return double_field(1, wall_time) + int_field(2, step) + bytes_field(5, bytes_field(1, one))


__all__ = ["SCALARS", "Event", "Scalar", "WireError", "read_event", "scalar_event", "version_event"]
