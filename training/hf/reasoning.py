"""Steps and answer as what an assistant says, and back. Imports no JAX.

Between ``<think>`` and ``</think>`` a step is a line. A line break in a step is written ``\\n``, the text
that ends the thinking with ``\\?`` behind its first character; a backslash is doubled only where it could be
taken for one of these, so that the ``\\frac`` of a formula stays as models know it. A step of nothing but
whitespace begins with ``\\?``, for an empty line is no step.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from training.rendering import ParsedText, parse_completion, render

OPEN: Final = "<think>"
CLOSE: Final = "</think>"
# Texts by which the frame is found: with line breaks, quotes, and characters that markup would change.
PROBE_PROMPT: Final = 'How many "parts" has <a & b>,\nor  c?'
PROBE_STEPS: Final = ("First step: 1 < 2 & 3", "Second  step")
PROBE_ANSWER: Final = 'Probe answer "4" > 3'

_ESCAPED: Final = re.compile(r"\\(?=[\\n?\n]|$)|\n")
_ESCAPES: Final = re.compile(r"\\([\\n?])")
_MEANINGS: Final = {"n": "\n", "\\": "\\", "?": ""}


@dataclass(frozen=True, slots=True)
class Said:
    """An assistant's message, and the guarded texts in it that a template must keep, in order."""

    message: dict[str, str]
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands before the steps, between steps and answer, and after the answer in what is written.

    Where steps and answer are one text, ``between`` is empty.
    """

    lead: str
    between: str
    trail: str

    @property
    def opening(self) -> str:
        """The text that begins the thinking; empty where the prompt has begun it."""
        return self.lead.strip()

    @property
    def closing(self) -> str:
        """The text that ends the thinking."""
        return self.between.strip()


def say(
    reasoning: str, steps: Sequence[str], answer: str, *, guard: Callable[[str], str], closing: str
) -> Said:
    """Write steps and answer as a message; `read` gives them back, outer whitespace aside."""
    if reasoning == "plain":
        text = guard(render(steps, answer))
        return Said({"role": "assistant", "content": text}, (text,))
    parts = guard("\n".join(_escape(step, closing) for step in steps)), guard(answer)
    if reasoning == "reasoning_content":
        return Said({"role": "assistant", "content": parts[1], "reasoning_content": parts[0]}, parts)
    return Said({"role": "assistant", "content": thinking(*parts)}, parts)


def thinking(steps: str, answer: str) -> str:
    """Write both between tags; no steps leave an empty block, as models that think or not have it."""
    return f"{OPEN}\n{steps}\n{CLOSE}\n\n{answer}"


def read(reasoning: str, text: str, frame: Frame) -> ParsedText:
    """Read steps and answer out of what a model wrote, also a half-trained one."""
    if reasoning == "plain":
        return parse_completion(_without(frame.lead, text).removesuffix(frame.trail))
    begun = text.lstrip()
    opened = not frame.opening or begun.startswith(frame.opening)
    begun = begun.removeprefix(frame.opening) if frame.opening else begun
    thought, closed, answer = begun.partition(frame.closing)
    if not closed and opened:
        return ParsedText(_lines(thought), None, "no end of the thinking")
    answer = (answer if closed else begun).removesuffix(frame.trail).strip()
    steps = _lines(thought) if closed else ()
    return ParsedText(steps, answer, "") if answer else ParsedText(steps, None, "no answer")


def _without(lead: str, text: str) -> str:
    """Take away what a template writes before an answer, be its whitespace as it may."""
    if text.startswith(lead):
        return text.removeprefix(lead)
    begun = text.lstrip()
    return begun.removeprefix(lead.strip()).lstrip() if begun.startswith(lead.strip() or "\0") else text


def _lines(text: str) -> tuple[str, ...]:
    text = text.strip("\n")
    return tuple(map(_unescape, text.split("\n"))) if text.strip() else ()


def _escape(step: str, closing: str) -> str:
    text = _ESCAPED.sub(lambda found: "\\n" if found[0] == "\n" else "\\\\", step)
    text = text if text.strip() else f"\\?{text}"
    return text.replace(closing, f"{closing[0]}\\?{closing[1:]}") if closing else text


def _unescape(line: str) -> str:
    return _ESCAPES.sub(lambda found: _MEANINGS[found[1]], line)
