"""Alpaca: ``instruction``, perhaps ``input``, and ``output``."""

from typing import Any

from datasets_app.formats.completion import completion_text
from datasets_app.formats.reading import Fields, Reading, reading
from datasets_app.formats.reading import text_of as text
from datasets_app.formats.solution import split_solution
from datasets_app.selectors import MemberTrace
from datasets_app.traces import TraceError

NAME = "alpaca"
SUMMARY = "instruction, input (may be empty), output"
FIELDS = ("instruction", "input", "output")
LOSSLESS = False


def matches(fields: Fields) -> bool:
    """Tell it by instruction and output."""
    return "instruction" in fields and "output" in fields


def read(fields: Fields) -> Reading:
    """Read it; an input stands below the instruction, after an empty line."""
    instruction, given = text(fields, "instruction"), text(fields, "input", default="")
    if not instruction.strip():
        raise TraceError("instruction", "is empty.")
    steps, answer = split_solution(text(fields, "output"), field="output")
    prompt = f"{instruction}\n\n{given}" if given.strip() else instruction
    return reading(prompt, steps, answer, fields=fields)


def write(member: MemberTrace) -> dict[str, Any]:
    """Write ``{"instruction", "input", "output"}``, the input empty."""
    return {"instruction": member.prompt, "input": "", "output": completion_text(member)}
