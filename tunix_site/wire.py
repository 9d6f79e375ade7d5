"""JSON in and out of the API: strict on the way in, always valid on the way out."""

import json
import math
from collections.abc import Iterator
from typing import Any, NoReturn

import msgspec
from django.http import HttpRequest
from ninja.parser import Parser
from ninja.renderers import BaseRenderer
from pydantic import BaseModel

MAX_DEPTH = 64
MIN_INT, MAX_INT = -(2**63), 2**63 - 1


class BodyError(ValueError):
    """The request body is not JSON that the site can keep; the message says why."""


def _whole_number(text: str) -> int:
    if len(text) > 20 or not MIN_INT <= (number := int(text)) <= MAX_INT:
        raise BodyError(f"The number {text[:24]} does not fit into 64 bits.")
    return number


def _decimal_number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise BodyError(f"The number {text[:24]} is too large.")
    return number


def _no_constant(text: str) -> NoReturn:
    raise BodyError(f"{text} is not JSON; leave the value out or send null.")


def parse_json(body: bytes) -> Any:
    """Decode JSON, refusing what no database of ours keeps: NaN, wide numbers, NUL, deep nesting.

    Raises:
        BodyError: says what was refused.
    """
    try:
        value = json.loads(
            body.decode("utf-8"),
            parse_int=_whole_number,
            parse_float=_decimal_number,
            parse_constant=_no_constant,
        )
    except BodyError:
        raise
    except UnicodeDecodeError as error:
        raise BodyError(f"The body is not UTF-8 text (byte {error.start}).") from error
    except json.JSONDecodeError as error:
        raise BodyError(
            f"The body is not JSON: {error.msg} (line {error.lineno}, column {error.colno})."
        ) from error
    except RecursionError as error:
        raise BodyError(f"The body is nested deeper than {MAX_DEPTH} levels.") from error
    for text in _texts(value):
        if "\0" in text:
            raise BodyError("A text holds a NUL character (\\u0000).")
        if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
            raise BodyError("A text holds half of a surrogate pair.")
    return value


def _texts(value: Any) -> Iterator[str]:
    """Yield every text in a decoded value, keys too, without recursion."""
    pending = [(value, 1)]
    while pending:
        item, depth = pending.pop()
        if depth > MAX_DEPTH:
            raise BodyError(f"The body is nested deeper than {MAX_DEPTH} levels.")
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            yield from item
            pending.extend((inner, depth + 1) for inner in item.values())
        elif isinstance(item, list):
            pending.extend((inner, depth + 1) for inner in item)


class StrictParser(Parser):
    """Reads request bodies with `parse_json`."""

    def parse_body(self, request: HttpRequest) -> Any:
        """Decode the body of a request."""
        return parse_json(request.body)


def _plain(value: Any) -> Any:
    """Turn what msgspec does not know into what it does."""
    return value.model_dump() if isinstance(value, BaseModel) else str(value)


class FiniteRenderer(BaseRenderer):
    """Writes JSON in which non-finite numbers are ``null``, for bare ``NaN`` is not JSON."""

    media_type = "application/json"

    def render(self, request: HttpRequest, data: Any, *, response_status: int) -> bytes:
        """Encode an answer."""
        return msgspec.json.encode(data, enc_hook=_plain)
