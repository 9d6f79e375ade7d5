"""A trace as a page shows it: each step with the checker's verdict as a mark and a word."""

from collections.abc import Sequence
from dataclasses import dataclass

from datasets_app.generators import check_steps
from datasets_app.selectors import MemberTrace

_VERDICTS = {True: ("ok", "valid"), False: ("bad", "invalid"), None: ("unknown", "not checked")}


@dataclass(frozen=True, slots=True)
class ReadStep:
    """A step on the page: its text and the checker's verdict as class and word."""

    content: str
    verdict: str
    word: str


@dataclass(frozen=True, slots=True)
class ReadTrace:
    """A trace on the page."""

    member: MemberTrace
    steps: Sequence[ReadStep]


def read_trace(member: MemberTrace) -> ReadTrace:
    """Check a trace for the page."""
    verdicts = check_steps(member.family, member.prompt, member.steps)
    steps = [
        ReadStep(content, *_VERDICTS[verdict])
        for content, verdict in zip(member.steps, verdicts, strict=True)
    ]
    return ReadTrace(member, steps)
