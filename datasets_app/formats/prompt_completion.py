"""Prompt and completion as two texts, so that the loss can be kept to the completion."""

from typing import Any

from datasets_app.formats.completion import completion_text
from datasets_app.selectors import MemberTrace


def write(member: MemberTrace) -> dict[str, Any]:
    """Write ``{"prompt", "completion"}``."""
    return {"prompt": member.prompt, "completion": completion_text(member)}
