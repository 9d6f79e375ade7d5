"""A problem with its written solution, perhaps with the final answer beside it (or in ``\\boxed{}``)."""

from typing import Any

from datasets_app.formats.completion import completion_text
from datasets_app.formats.reading import Fields, Reading, answer_of, reading
from datasets_app.formats.reading import text_of as text
from datasets_app.formats.solution import lines_of, split_solution
from datasets_app.selectors import MemberTrace

NAME = "problem_solution"
SUMMARY = "problem and solution; answer beside it, after ####, or in \\boxed{}"
FIELDS = ("problem", "solution", "answer")
LOSSLESS = False


def matches(fields: Fields) -> bool:
    """Tell it by its two fields."""
    return "problem" in fields and "solution" in fields


def read(fields: Fields) -> Reading:
    """Read it; an ``answer`` of its own wins over one found in the solution."""
    problem, solution = text(fields, "problem"), text(fields, "solution")
    if fields.get("answer") not in (None, "") and "####" not in solution:
        return reading(problem, lines_of(solution), answer_of(fields, "answer"), fields=fields)
    steps, answer = split_solution(solution, field="solution")
    return reading(problem, steps, answer, fields=fields)


def write(member: MemberTrace) -> dict[str, Any]:
    """Write ``{"problem", "solution", "answer"}``."""
    return {"problem": member.prompt, "solution": completion_text(member), "answer": member.final_answer}
