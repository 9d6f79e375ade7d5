"""The text of a solution: a line a step, then the answer after ``####``."""

from datasets_app.selectors import MemberTrace

ANSWER_MARK = "#### "


def completion_text(member: MemberTrace) -> str:
    """Write steps and final answer as one text."""
    return "\n".join([*member.steps, ANSWER_MARK + member.final_answer])
