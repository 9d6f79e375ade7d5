"""What all readers share: the outcome of reading, typed decoding, and what is said of a bad field."""

import re
from typing import Any

import msgspec

from datasets_app.traces import Step, TraceError, TraceRecord

type Fields = dict[str, Any]
"""One record of a file by field name; a line of plain text stands under ``line``."""

LINE = "line"
_PATH = re.compile(r"^(?P<problem>.*?)(?: - at `(?P<path>.*)`)?$", re.DOTALL)


class Reading(msgspec.Struct, gc=False):
    """A trace that was read, and what its line says about its place in a dataset, where it does."""

    record: TraceRecord
    split: str | None = None
    family: str = ""
    source: str = ""
    licence: str = ""


def reading(
    prompt: str,
    steps: list[str],
    answer: str,
    *,
    fields: Fields | None = None,
    step_type: str = "step",
    meta: Fields | None = None,
) -> Reading:
    """Make a reading of texts; ``split`` and provenance are taken from ``fields`` where they stand there."""
    numbered = tuple(Step(text, index, step_type) for index, text in enumerate(steps))
    given = meta or {}
    if fields is None:
        return Reading(TraceRecord(prompt=prompt, steps=numbered, final_answer=answer, meta=given))
    if not given and isinstance(fields.get("meta"), dict):
        given = fields["meta"]
    return Reading(
        TraceRecord(prompt=prompt, steps=numbered, final_answer=answer, meta=given),
        split=split_named(fields),
        family=text_of(fields, "family", default=""),
        source=text_of(fields, "source", default=""),
        licence=text_of(fields, "licence", default=""),
    )


def as_shape[T](record: Any, shape: type[T]) -> T:
    """Convert a record to its typed shape.

    Raises:
        TraceError: naming the field, for example ``steps[2].content``.
    """
    try:
        return msgspec.convert(record, shape)
    except UnicodeEncodeError:
        raise TraceError(lone_surrogate(record) or "record", "has a lone surrogate.") from None
    except msgspec.ValidationError as error:
        found = _PATH.match(str(error))
        path = (found and found["path"]) or "$"
        problem = found["problem"] if found else str(error)
        missing = re.search(r"missing required field `(.+?)`", problem)
        if missing:
            path, problem = f"{path}.{missing[1]}", "is missing."
        unknown = re.search(r"contains unknown field `(.+?)`", problem)
        if unknown:
            path, problem = f"{path}.{unknown[1]}", "is not known here."
        place = path.removeprefix("$").removeprefix(".").replace("[...]", "[*]")
        raise TraceError(place or "record", problem if problem.endswith(".") else f"{problem}.") from None


def text_of(fields: Fields, name: str, *, default: str | None = None) -> str:
    """Give a field that must be text.

    Raises:
        TraceError: if it is missing or something else.
    """
    value = fields.get(name)
    if isinstance(value, str):
        return value
    if value is None:
        if default is not None:
            return default
        raise TraceError(name, "is missing." if name not in fields else "is null; a text belongs there.")
    raise TraceError(name, f"is {kind_of(value)}; a text belongs there.")


def answer_of(fields: Fields, name: str) -> str:
    """Give a final answer; a number is taken as it is written."""
    value = fields.get(name)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return text_of(fields, name)


def split_named(fields: Fields) -> str | None:
    """Give the split that a line names.

    Raises:
        TraceError: if it names anything but train and test.
    """
    split = fields.get("split")
    if split is None or split == "":
        return None
    if split not in {"train", "test"}:
        raise TraceError("split", f"is {str(split)[:40]!r}; there are train and test.")
    return str(split)


def kind_of(value: Any) -> str:
    """Name the kind of a JSON value, for a message."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a truth value"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a text"
    return {"list": "a list", "dict": "an object"}.get(type(value).__name__, "something else")


def lone_surrogate(value: Any) -> str:
    """Name the first place of a JSON value with half of a surrogate pair; empty if there is none."""
    left = [("", value)]
    while left:
        path, one = left.pop()
        if isinstance(one, str):
            if any("\ud800" <= character <= "\udfff" for character in one):
                return path
        elif isinstance(one, dict):
            if any(lone_surrogate([name]) for name in one):
                return f"a name of {path or 'the object'}"
            inner = [(f"{path}.{name}".strip("."), of_name) for name, of_name in one.items()]
            left += reversed(inner)
        elif isinstance(one, list):
            left += reversed([(f"{path}[{place}]", at) for place, at in enumerate(one)])
    return ""


def is_text_list(value: Any) -> bool:
    """Tell whether a value is a list of texts."""
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
