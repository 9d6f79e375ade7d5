"""A model's chat template: messages to the text that the model is given. Imports no JAX."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from training.errors import ConfigError
from training.hf.conventions import SPAN_BEGIN, SPAN_END

Message = Mapping[str, str]
_MARKS: Final = re.compile(f"[{SPAN_BEGIN}{SPAN_END}]")


class TemplateRefusedError(ConfigError):
    """A chat template would not write these messages; ``reason`` is what it or the sandbox said."""

    def __init__(self, message: str, reason: str) -> None:
        self.reason = reason
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Rendered:
    """What a template wrote, and the spans [begin, end) of it that stood in ``{% generation %}``."""

    text: str
    spans: tuple[tuple[int, int], ...]


class ChatTemplate:
    """A compiled template; ``special`` are the texts of special tokens that it may name.

    Raises:
        ConfigError: for a text that is no template.
    """

    def __init__(self, source: str, *, name: str, special: Mapping[str, str], thinking: bool) -> None:
        self._name = name
        self._values: dict[str, Any] = {
            **special,
            "tools": None,
            "documents": None,
            "enable_thinking": thinking,
        }
        try:
            from training.hf.sandbox import BoundedEnvironment, told
        except ImportError as error:
            raise ConfigError(
                f"{name}: its chat template needs the extra `models`: pip install -e '.[models]' ({error})."
            ) from error
        self._environment, self._told = BoundedEnvironment(), told
        try:
            self._template = self._environment.compiled(source)
        except Exception as error:  # whatever a text by strangers may bring about in the compiler
            raise ConfigError(
                f"{name}: its chat template cannot be parsed ({told(error)}). Correct chat_template.jinja "
                "and import the model anew."
            ) from error

    def render(self, messages: Sequence[Message], *, add_generation_prompt: bool) -> Rendered:
        """Write messages, and what stands before an answer where asked.

        Raises:
            TemplateRefusedError: when the template raises, or does what it must not.
        """
        values = {
            **self._values,
            "messages": [dict(message) for message in messages],
            "add_generation_prompt": add_generation_prompt,
        }
        try:
            marked = self._environment.rendered(self._template, values)
        except Exception as error:  # a program by strangers can fail in any way
            why = self._told(error)
            raise TemplateRefusedError(f"{self._name}: its chat template fails: {why}.", why) from error
        return _without_marks(marked)


def _without_marks(marked: str) -> Rendered:
    """Take the marks of generation blocks out; a span is kept with what directly follows it."""
    if SPAN_BEGIN not in marked:
        return Rendered(marked, ())
    parts: list[str] = []
    spans: list[tuple[int, int]] = []
    place, size, begin = 0, 0, 0
    for mark in _MARKS.finditer(marked):
        parts.append(marked[place : mark.start()])
        size += len(parts[-1])
        place = mark.end()
        if mark[0] == SPAN_BEGIN:
            begin = size
        elif spans and spans[-1][1] == begin:
            spans[-1] = (spans[-1][0], size)
        else:
            spans.append((begin, size))
    parts.append(marked[place:])
    return Rendered("".join(parts), tuple(spans))
