"""TRL's stepwise supervision: ``prompt``, ``completions`` (a step each), ``labels`` (right or not)."""

from typing import Any

import msgspec

from datasets_app.formats.reading import Fields, Reading, as_shape, reading
from datasets_app.formats.solution import split_solution
from datasets_app.selectors import MemberTrace
from datasets_app.traces import TraceError

NAME = "stepwise"
SUMMARY = "prompt, completions (a step each, the answer last), labels"
FIELDS = ("prompt", "completions", "labels")
LOSSLESS = False


class Shape(msgspec.Struct):
    """What a line must hold."""

    prompt: str
    completions: list[str]
    labels: list[bool]


def matches(fields: Fields) -> bool:
    """Tell it by its three fields."""
    return "completions" in fields and "labels" in fields


def read(fields: Fields) -> Reading:
    """Read it. Labels that are not all true are kept in ``meta``, for a wrong step stays a step."""
    shape = as_shape(fields, Shape)
    if len(shape.completions) != len(shape.labels):
        problem = f"has {len(shape.labels)} labels for {len(shape.completions)} completions."
        raise TraceError("labels", problem)
    if not shape.completions:
        raise TraceError("completions", "is empty.")
    for place, text in enumerate(shape.completions):
        if not text.strip():
            raise TraceError(f"completions[{place}]", "is empty.")
    last = len(shape.completions) - 1
    more, answer = split_solution(shape.completions[-1], field=f"completions[{last}]")
    meta = fields.get("meta") if isinstance(fields.get("meta"), dict) else {}
    if not all(shape.labels):
        meta = {**(meta or {}), "labels": shape.labels}
    steps = [text.strip() for text in shape.completions[:-1]] + more
    return reading(shape.prompt, steps, answer, fields=fields, meta=meta)


def write(member: MemberTrace) -> dict[str, Any]:
    """Write ``{"prompt", "completions", "labels"}``; steps without a label count as right."""
    completions = [*member.steps, f"#### {member.final_answer}"]
    kept = member.meta.get("labels")
    fits = isinstance(kept, list) and len(kept) == len(completions)
    labels = kept if fits else [True] * len(completions)
    return {"prompt": member.prompt, "completions": completions, "labels": labels}
