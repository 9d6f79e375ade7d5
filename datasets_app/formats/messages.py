"""A conversation of two messages, as chat templates want it."""

from typing import Any

from datasets_app.formats.completion import completion_text
from datasets_app.selectors import MemberTrace


def write(member: MemberTrace) -> dict[str, Any]:
    """Write ``{"messages"}``: the prompt by the user, steps and answer by the assistant."""
    return {
        "messages": [
            {"role": "user", "content": member.prompt},
            {"role": "assistant", "content": completion_text(member)},
        ]
    }
