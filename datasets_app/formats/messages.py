"""A conversation of messages, as chat templates want it; reasoning in tags or in ``reasoning_content``."""

from typing import Any

import msgspec

from datasets_app.formats.completion import completion_text
from datasets_app.formats.reading import Fields, Reading, as_shape, reading
from datasets_app.formats.solution import split_solution
from datasets_app.selectors import MemberTrace
from datasets_app.traces import TraceError

NAME = "messages"
SUMMARY = "messages of {role, content}; <think>…</think> or reasoning_content are the steps"
FIELDS = ("messages",)
LOSSLESS = False
_PROMPT_ROLES = frozenset({"system", "developer", "user"})


class Message(msgspec.Struct):
    """One message; further fields are ignored."""

    role: str
    content: str | None = None
    reasoning_content: str | None = None


def matches(fields: Fields) -> bool:
    """Tell a conversation by its list of messages."""
    return "messages" in fields


def read(fields: Fields) -> Reading:
    """Read one exchange: what comes before the assistant is the prompt."""
    if "messages" not in fields:
        raise TraceError("messages", "is missing.")
    messages = as_shape({"messages": fields["messages"]}, Conversation).messages
    prompt, steps, answer = exchange(messages, "messages")
    return reading(prompt, steps, answer, fields=fields)


class Conversation(msgspec.Struct):
    """What a line must hold."""

    messages: list[Message]


def exchange(messages: list[Message], field: str, *, content: str = "content") -> tuple[str, list[str], str]:
    """Part a conversation of one exchange into prompt, steps and answer.

    Raises:
        TraceError: if the assistant has not exactly one turn, the last.
    """
    if not messages:
        raise TraceError(field, "is empty.")
    if messages[-1].role != "assistant":
        raise TraceError(f"{field}[{len(messages) - 1}]", "the last turn is not the assistant's.")
    for place, message in enumerate(messages[:-1]):
        if message.role not in _PROMPT_ROLES:
            problem = f"{message.role[:40]!r}: one exchange makes a trace, system and user, then assistant."
            raise TraceError(f"{field}[{place}].role", problem)
        if not (message.content or "").strip():
            raise TraceError(f"{field}[{place}].{content}", "is empty.")
    if len(messages) == 1:
        raise TraceError(field, "has no prompt before the assistant's turn.")
    last = messages[-1]
    spot = f"{field}[{len(messages) - 1}].{content}"
    steps, answer = split_solution(last.content or "", field=spot, reasoning=last.reasoning_content or "")
    return "\n\n".join(message.content or "" for message in messages[:-1]), steps, answer


def write(member: MemberTrace) -> dict[str, Any]:
    """Write ``{"messages"}``: the prompt by the user, steps and answer by the assistant."""
    return {
        "messages": [
            {"role": "user", "content": member.prompt},
            {"role": "assistant", "content": completion_text(member)},
        ]
    }
