"""GSM8K: ``question`` and ``answer``; the answer's lines are the steps, ``#### N`` ends it."""

from typing import Any

from datasets_app.formats.completion import completion_text
from datasets_app.formats.reading import Fields, Reading, reading
from datasets_app.formats.reading import text_of as text
from datasets_app.formats.solution import ANSWER, lines_of
from datasets_app.selectors import MemberTrace
from datasets_app.traces import TraceError

NAME = "gsm8k"
SUMMARY = "question and answer: a step a line (<<a=b>> kept), then #### N"
FIELDS = ("question", "answer")
LOSSLESS = False


def matches(fields: Fields) -> bool:
    """Tell it by the mark in the answer."""
    answer = fields.get("answer")
    return isinstance(fields.get("question"), str) and isinstance(answer, str) and "####" in answer


def read(fields: Fields) -> Reading:
    """Read it. The final answer is kept as it is written, commas and all."""
    question, answer = text(fields, "question"), text(fields, "answer")
    marks = list(ANSWER.finditer(answer))
    if not marks:
        raise TraceError("answer", "has no line with #### before its final answer.")
    if len(marks) > 1:
        raise TraceError("answer", "has the mark #### on more than one line.")
    mark = marks[0]
    if answer[mark.end() :].strip():
        raise TraceError("answer", "has text after the line of its answer (####).")
    final = mark[1].strip()
    if not final:
        raise TraceError("answer", "has nothing after ####.")
    return reading(question, lines_of(answer[: mark.start()]), final, fields=fields)


def write(member: MemberTrace) -> dict[str, Any]:
    """Write ``{"question", "answer"}``."""
    return {"question": member.prompt, "answer": completion_text(member)}
