"""From the bytes of one record to its fields, or to a sentence on what is wrong with them."""

import json
import re
from typing import Any, NoReturn

import msgspec

from datasets_app.formats.reading import Fields, kind_of, lone_surrogate
from datasets_app.traces import TraceError

BOM = b"\xef\xbb\xbf"
WHOLE = "record"

_decode = msgspec.json.Decoder().decode
_SPACED_COLON = re.compile(rb'"[ \t\r\n]+:')
_ESCAPED_BACKSLASH_BEFORE_QUOTE = b'\\\\"'


def decode_record(raw: bytes) -> Fields:
    """Decode a JSON object.

    Raises:
        TraceError: naming the field, and the byte of the record where that helps.
    """
    try:
        return _decoded(raw)
    except RecursionError:
        raise TraceError(WHOLE, "is nested too deeply.") from None


def _decoded(raw: bytes) -> Fields:
    try:
        value = _decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise TraceError(WHOLE, _explain(raw, str(error))) from None
    if type(value) is not dict:
        raise TraceError(WHOLE, f"is {kind_of(value)}; an object with named fields belongs there.")
    # Each key that was decoded stands before a colon. Where the numbers differ, a key may be
    # there twice, or a text holds what looks like one: then the slow way decides.
    if raw.count(b'":') != _count_keys(value) or _may_mislead(raw):
        _refuse_duplicates(raw)
    return value


def _may_mislead(raw: bytes) -> bool:
    return _SPACED_COLON.search(raw) is not None or _ESCAPED_BACKSLASH_BEFORE_QUOTE in raw


def _count_keys(value: Any) -> int:
    count, inside = 0, value
    if type(value) is dict:
        count, inside = len(value), value.values()
    for inner in inside:
        kind = type(inner)
        if kind is dict or kind is list:
            count += _count_keys(inner)
    return count


def _refuse_duplicates(raw: bytes) -> None:
    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(items)
        if len(made) != len(items):
            names = [name for name, _ in items]
            twice = next(name for name in names if names.count(name) > 1)
            raise TraceError(twice[:100], "is there twice in one object.")
        return made

    json.loads(raw, object_pairs_hook=pairs)


class _ConstantError(ValueError):
    pass


def _no_constant(text: str) -> NoReturn:
    raise _ConstantError(text)


def _explain(raw: bytes, fallback: str) -> str:
    if b"\x00" in raw:
        return f"has a NUL byte at byte {raw.index(0)}."
    if BOM in raw[:3]:
        return "starts with a byte order mark, which belongs at the start of a file only."
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        return f"is not UTF-8: byte {error.start} is 0x{raw[error.start]:02x}."
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except _ConstantError as error:
        return f"holds {error}, which is not JSON; leave the value out or write null."
    except json.JSONDecodeError as error:
        where = len(text[: error.pos].encode())
        if not text[error.pos :].strip() or error.msg.startswith("Unterminated string"):
            return f"is cut off: the JSON object is not complete ({error.msg}, byte {where})."
        return f"is not JSON: {error.msg} (byte {where})."
    except ValueError as error:
        return f"is not JSON that can be kept: {error}."
    found = lone_surrogate(value)
    if found:
        return f"holds a lone surrogate (half of a \\ud800-\\udfff pair) in {found}."
    return f"is not JSON that can be kept: {fallback}."
