"""The native trace, lossless: everything about its place in the dataset too."""

from typing import Any

import msgspec

from datasets_app.formats.reading import Fields, Reading, as_shape, split_named
from datasets_app.selectors import MemberTrace
from datasets_app.traces import TRACE_VERSION, Step, TraceError, TraceRecord, trace_hash

NAME = "trace"
SUMMARY = "the native trace: prompt, steps of {i, type, content}, final_answer, meta"
FIELDS = ("prompt", "steps", "final_answer")
LOSSLESS = True


class Shape(msgspec.Struct, forbid_unknown_fields=True):
    """The fields of a line. ``id``, ``created_at`` and ``position`` may stand there and say nothing."""

    prompt: str
    steps: tuple[Step, ...]
    final_answer: str
    trace_version: str = TRACE_VERSION
    meta: dict[str, Any] = {}
    split: str | None = None
    family: str = ""
    source: str = ""
    licence: str = ""
    content_hash: str = ""
    id: Any = None
    created_at: Any = None
    position: Any = None


def matches(fields: Fields) -> bool:
    """Tell a native trace by its three fields."""
    return "prompt" in fields and "steps" in fields and "final_answer" in fields


def read(fields: Fields) -> Reading:
    """Read a native trace; where the line has its hash, the hash must be right."""
    shape = as_shape(fields, Shape)
    record = TraceRecord(
        prompt=shape.prompt,
        steps=shape.steps,
        final_answer=shape.final_answer,
        meta=shape.meta,
        trace_version=shape.trace_version,
    )
    if shape.split is not None:
        split_named({"split": shape.split})
    if shape.content_hash:
        _check_hash(record, shape.content_hash)
    return Reading(record, shape.split or None, shape.family, shape.source, shape.licence)


def _check_hash(record: TraceRecord, given: str) -> None:
    try:
        own = trace_hash(record.prompt, record.steps, record.final_answer)
    except UnicodeEncodeError:
        return  # the rules of a trace name the character, with its field
    if own != given:
        raise TraceError("content_hash", f"is {given[:12]}, the trace has {own[:12]}: it was changed.")


def write(member: MemberTrace) -> dict[str, Any]:
    """Write the trace with split, family, source, licence and its hash."""
    return {
        "trace_version": TRACE_VERSION,
        "prompt": member.prompt,
        "steps": [{"i": step.i, "type": step.type, "content": step.content} for step in member.step_records],
        "final_answer": member.final_answer,
        "meta": member.meta,
        "split": member.split,
        "family": member.family,
        "source": member.source,
        "licence": member.licence,
        "content_hash": member.content_hash,
    }
