"""Prompt and completion, as two texts or two lists of messages: the loss can be kept to the completion."""

from typing import Any

from datasets_app.formats.completion import completion_text
from datasets_app.formats.messages import Message, exchange
from datasets_app.formats.reading import Fields, Reading, as_shape, reading
from datasets_app.formats.reading import text_of as text
from datasets_app.formats.solution import split_solution
from datasets_app.selectors import MemberTrace

NAME = "prompt_completion"
SUMMARY = "prompt and completion, both texts or both lists of messages"
FIELDS = ("prompt", "completion")
LOSSLESS = False


def matches(fields: Fields) -> bool:
    """Tell it by its two fields."""
    return "prompt" in fields and "completion" in fields


def read(fields: Fields) -> Reading:
    """Read it; messages become prompt and solution as in a conversation."""
    if isinstance(fields.get("prompt"), list):
        lists = as_shape(
            {"prompt": fields["prompt"], "completion": fields.get("completion")}, dict[str, list[Message]]
        )
        prompt, steps, answer = exchange(lists["prompt"] + lists["completion"], "prompt+completion")
        return reading(prompt, steps, answer, fields=fields)
    prompt = text(fields, "prompt")
    steps, answer = split_solution(text(fields, "completion"), field="completion")
    return reading(prompt, steps, answer, fields=fields)


def write(member: MemberTrace) -> dict[str, Any]:
    """Write ``{"prompt", "completion"}``."""
    return {"prompt": member.prompt, "completion": completion_text(member)}
