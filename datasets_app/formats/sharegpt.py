"""ShareGPT: ``conversations`` of ``{from, value}``; OpenThoughts' tags and a ``system`` field too."""

from typing import Any

import msgspec

from datasets_app.formats.completion import completion_text
from datasets_app.formats.messages import Message, exchange
from datasets_app.formats.reading import Fields, Reading, as_shape, reading
from datasets_app.selectors import MemberTrace
from datasets_app.traces import TraceError

NAME = "sharegpt"
SUMMARY = "ShareGPT and OpenThoughts: conversations of {from, value}, perhaps with thought tags"
FIELDS = ("conversations",)
LOSSLESS = False
_ROLES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system"}


class Turn(msgspec.Struct, rename={"speaker": "from"}):
    """One turn."""

    speaker: str
    value: str


class Shape(msgspec.Struct):
    """What a line must hold."""

    conversations: list[Turn]


def matches(fields: Fields) -> bool:
    """Tell a conversation by its field."""
    return "conversations" in fields


def read(fields: Fields) -> Reading:
    """Read one exchange. A ``system`` field beside it is an instruction on form, and kept in ``meta``."""
    turns = as_shape(fields, Shape).conversations
    messages = []
    for place, turn in enumerate(turns):
        if turn.speaker not in _ROLES:
            problem = f"is {turn.speaker[:40]!r}; known are {', '.join(_ROLES)}."
            raise TraceError(f"conversations[{place}].from", problem)
        messages.append(Message(role=_ROLES[turn.speaker], content=turn.value))
    prompt, steps, answer = exchange(messages, "conversations", content="value")
    system = fields.get("system")
    meta = {"system": system} if isinstance(system, str) and system else None
    return reading(prompt, steps, answer, fields=fields, meta=meta)


def write(member: MemberTrace) -> dict[str, Any]:
    """Write ``{"conversations"}``: the prompt by the human, steps and answer by the model."""
    return {
        "conversations": [
            {"from": "human", "value": member.prompt},
            {"from": "gpt", "value": completion_text(member)},
        ]
    }
