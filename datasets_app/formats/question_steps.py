"""A question, its steps as a list, its answer: one line or one object of a JSON array each; lossless."""

from typing import Any

from datasets_app.formats.reading import Fields, Reading, answer_of, as_shape, is_text_list, kind_of, reading
from datasets_app.formats.reading import text_of as text
from datasets_app.selectors import MemberTrace
from datasets_app.traces import DEFAULT_STEP_TYPE, Step, TraceError

NAME = "question_steps"
SUMMARY = "question, steps as a list of texts, answer"
FIELDS = ("question", "steps", "answer")
LOSSLESS = True


def matches(fields: Fields) -> bool:
    """Tell it by a question (or prompt) with steps."""
    return "steps" in fields and ("question" in fields or "prompt" in fields)


def read(fields: Fields) -> Reading:
    """Read it; ``prompt`` does for ``question`` and ``final_answer`` for ``answer``."""
    question = text(fields, "prompt" if "question" not in fields and "prompt" in fields else "question")
    answer = answer_of(
        fields, "final_answer" if "answer" not in fields and "final_answer" in fields else "answer"
    )
    steps = fields.get("steps")
    if not isinstance(steps, list):
        raise TraceError("steps", f"is {kind_of(steps)}; a list of texts belongs there.")
    if steps and isinstance(steps[0], dict):
        found = reading(question, [], answer, fields=fields)
        found.record = type(found.record)(
            prompt=question,
            steps=as_shape({"steps": steps}, dict[str, tuple[Step, ...]])["steps"],
            final_answer=answer,
            meta=found.record.meta,
        )
        return found
    for place, step in enumerate(steps):
        if not isinstance(step, str):
            raise TraceError(f"steps[{place}]", f"is {kind_of(step)}; a text belongs there.")
        if not step.strip():
            raise TraceError(f"steps[{place}]", "is empty.")
    return reading(question, steps, answer, fields=fields)


def write(member: MemberTrace) -> dict[str, Any]:
    """Write ``{"question", "steps", "answer"}``; steps as objects only where a text would not say all."""
    plain = all(
        step.i == place and step.type == DEFAULT_STEP_TYPE for place, step in enumerate(member.step_records)
    )
    records = [{"i": step.i, "type": step.type, "content": step.content} for step in member.step_records]
    steps: list[Any] = list(member.steps) if plain and is_text_list(list(member.steps)) else records
    written = {"question": member.prompt, "steps": steps, "answer": member.final_answer}
    return written | {"split": member.split, "source": member.source, "licence": member.licence}
