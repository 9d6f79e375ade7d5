"""A trace as text and back: one step a line, then ``#`` and the final answer. Imports no JAX.

A step that holds a line break, a backslash or begins with ``#`` is escaped, so that every
trace has exactly one text and every such text exactly one trace.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from training.examples import TraceExample

Target = Literal["trace", "answer"]
type Parse = Callable[[str], ParsedText]
RENDERING_VERSION: Final = 1

_ESCAPED: Final = {"\\": "\\\\", "\n": "\\n"}
_ESCAPES: Final = re.compile(r"\\(\\|n|#)")


@dataclass(frozen=True, slots=True)
class ParsedText:
    """Steps and answer found in a text; ``problem`` says why there is no answer, else it is empty."""

    steps: tuple[str, ...]
    answer: str | None
    problem: str = ""


def prompt_text(prompt: str) -> str:
    """Return the text after which the model begins to write."""
    return prompt + "\n"


def completion_text(example: TraceExample, target: Target) -> str:
    """Return what the model should write: all steps and the answer, or the answer alone."""
    steps = example.steps if target == "trace" else ()
    return render(steps, example.final_answer)


def render(steps: Sequence[str], answer: str) -> str:
    """Write steps and answer as text; `parse_completion` gives them back unchanged."""
    return "".join(f"{_escape_step(step)}\n" for step in steps) + "#" + _escape(answer)


def parse_completion(text: str) -> ParsedText:
    """Read steps and answer out of any text, also one that a half-trained model wrote.

    The answer is the first line that begins with ``#``, and it must be the last line: a text
    that goes on after its answer has none, for nothing says which of its lines is meant.
    """
    lines = text.split("\n")
    position = next((i for i, line in enumerate(lines) if line.startswith("#")), None)
    if position is None:
        if lines[-1] == "":
            lines.pop()
        return ParsedText(tuple(map(_unescape, lines)), None, "no answer")
    steps = tuple(map(_unescape, lines[:position]))
    if position + 1 < len(lines):
        return ParsedText(steps, None, "text after the answer")
    return ParsedText(steps, _unescape(lines[position][1:]))


def _escape(text: str) -> str:
    if "\\" not in text and "\n" not in text:
        return text
    return "".join(_ESCAPED.get(character, character) for character in text)


def _escape_step(step: str) -> str:
    text = _escape(step)
    return "\\" + text if text.startswith("#") else text


def _unescape(line: str) -> str:
    return _ESCAPES.sub(lambda match: "\n" if match[1] == "n" else match[1], line)
