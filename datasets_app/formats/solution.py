"""Taking a written solution apart: reasoning in its tags, steps a line each, the final answer."""

import re

from datasets_app.traces import TraceError

ANSWER = re.compile(r"^[ \t]*####[ \t]*(.*)$", re.MULTILINE)
_THINK = re.compile(r"^\s*<think>(.*?)</think>(.*)$", re.DOTALL)
_THOUGHT = re.compile(r"<\|begin_of_thought\|>(.*?)<\|end_of_thought\|>(.*)$", re.DOTALL)
_SOLUTION = re.compile(r"<\|begin_of_solution\|>(.*?)<\|end_of_solution\|>", re.DOTALL)
_SAID = re.compile(r"(?:the )?(?:final )?answer is:?\s*(.+?)\.?\s*$", re.IGNORECASE)
_BOXED = "\\boxed{"


def split_solution(text: str, *, field: str, reasoning: str = "") -> tuple[list[str], str]:
    """Part a solution into steps and final answer.

    Reasoning stands in ``reasoning``, in ``<think>…</think>`` or between OpenThoughts' tags; each
    of its lines that is not empty is a step. The answer is, in this order: what follows ``####``,
    the last ``\\boxed{…}``, what follows "the answer is" at the end; after reasoning all that is
    left; else the last line. Other lines before it are steps too.

    Raises:
        TraceError: naming ``field``, if there is no answer, or a tag is not closed.
    """
    thought, rest = _take_reasoning(text, field)
    steps = lines_of(reasoning) + lines_of(thought)
    marks = list(ANSWER.finditer(rest))
    if marks:
        mark = marks[-1]
        if rest[mark.end() :].strip():
            raise TraceError(field, "has text after the line of its answer (####).")
        return steps + lines_of(rest[: mark.start()]), _required(mark[1], field)
    before = lines_of(rest)
    if not before:
        raise TraceError(field, "has no final answer after the reasoning." if steps else "is empty.")
    boxed = _last_boxed(rest)
    if boxed is not None:
        return steps + before, _required(boxed, field)
    said = _SAID.search(before[-1])
    if said:
        return steps + before, _required(said[1], field)
    if steps:
        return steps, rest.strip()
    return before[:-1], before[-1]


def lines_of(text: str) -> list[str]:
    """Give the lines that are not empty, without the white space around them."""
    return [line for part in text.split("\n") if (line := part.strip())]


def _required(answer: str, field: str) -> str:
    if not answer.strip():
        raise TraceError(field, "has an empty final answer.")
    return answer.strip()


def _take_reasoning(text: str, field: str) -> tuple[str, str]:
    found = _THINK.match(text)
    if found:
        return found[1], found[2]
    if text.lstrip().startswith("<think>"):
        raise TraceError(field, "opens <think> and never closes it.")
    found = _THOUGHT.search(text)
    if found:
        solution = _SOLUTION.search(found[2])
        if solution is None and "<|begin_of_solution|>" in found[2]:
            raise TraceError(field, "opens <|begin_of_solution|> and never closes it.")
        return found[1], solution[1] if solution else found[2]
    if "<|begin_of_thought|>" in text:
        raise TraceError(field, "opens <|begin_of_thought|> and never closes it.")
    return "", text


def _last_boxed(text: str) -> str | None:
    start = text.rfind(_BOXED)
    if start < 0:
        return None
    depth = 1
    for place in range(start + len(_BOXED), len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return text[start + len(_BOXED) : place]
    return None
