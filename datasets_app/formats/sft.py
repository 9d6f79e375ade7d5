"""One text a trace, for supervised fine-tuning on plain text."""

from typing import Any

from datasets_app.formats.completion import completion_text
from datasets_app.formats.reading import Fields, Reading, reading
from datasets_app.formats.reading import text_of as text
from datasets_app.formats.solution import split_solution
from datasets_app.selectors import MemberTrace
from datasets_app.traces import TraceError

NAME = "sft"
SUMMARY = "text: the prompt on the first line, then the solution with its #### answer"
FIELDS = ("text",)
LOSSLESS = False


def matches(fields: Fields) -> bool:
    """Tell it by its one field."""
    return "text" in fields


def read(fields: Fields) -> Reading:
    """Read it: the first line is the prompt, what follows the solution."""
    prompt, _, solution = text(fields, "text").strip().partition("\n")
    if not solution.strip():
        raise TraceError("text", "has one line only: a prompt, and a solution below it, belong there.")
    steps, answer = split_solution(solution, field="text")
    return reading(prompt, steps, answer, fields=fields)


def write(member: MemberTrace) -> dict[str, Any]:
    """Write ``{"text"}``: prompt, steps and answer, a line each."""
    return {"text": f"{member.prompt}\n{completion_text(member)}"}
