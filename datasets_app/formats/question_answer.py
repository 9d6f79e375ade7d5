"""A question and its answer under plain names, perhaps with a reasoning between: what ``--map`` is for."""

from datasets_app.formats.reading import Fields, Reading, answer_of, reading
from datasets_app.formats.reading import text_of as text
from datasets_app.formats.solution import lines_of

NAME = "question_answer"
SUMMARY = "question (or prompt), answer, perhaps reasoning; the lines of the reasoning are the steps"
FIELDS = ("question", "prompt", "reasoning", "answer")
LOSSLESS = False
_QUESTIONS = ("prompt", "question", "problem", "instruction")
_REASONINGS = ("reasoning", "rationale", "reasoning_content", "cot", "thought")
_ANSWERS = ("final_answer", "answer")


def _first(fields: Fields, names: tuple[str, ...]) -> str | None:
    return next((name for name in names if name in fields), None)


def matches(fields: Fields) -> bool:
    """Tell it by a question and an answer."""
    return _first(fields, _QUESTIONS) is not None and _first(fields, _ANSWERS) is not None


def read(fields: Fields) -> Reading:
    """Read it; the answer is taken whole."""
    question = text(fields, _first(fields, _QUESTIONS) or "question")
    answer = answer_of(fields, _first(fields, _ANSWERS) or "answer")
    name = _first(fields, _REASONINGS)
    steps = lines_of(text(fields, name, default="")) if name else []
    return reading(question, steps, answer, fields=fields)
