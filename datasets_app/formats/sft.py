"""One text a trace, for supervised fine-tuning on plain text."""

from typing import Any

from datasets_app.formats.completion import completion_text
from datasets_app.selectors import MemberTrace


def write(member: MemberTrace) -> dict[str, Any]:
    """Write ``{"text"}``: prompt, steps and answer, a line each."""
    return {"text": f"{member.prompt}\n{completion_text(member)}"}
