"""Where in a conversation the prompt ends, and what after it is learnt. Imports no JAX.

A template is asked twice: for the prompt with what invites an answer, and for the whole conversation. What
the second has after the first is learnt, up to and with the token that ends the turn. How the template frames
an answer is found once, with texts of our own, so that whatever cannot be followed is refused at the start.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from training.errors import ConfigError
from training.hf.chat import ChatTemplate, Rendered, TemplateRefusedError
from training.hf.encoder import Encoder
from training.hf.reasoning import (
    CLOSE,
    OPEN,
    PROBE_ANSWER,
    PROBE_PROMPT,
    PROBE_STEPS,
    Frame,
    Said,
    say,
    thinking,
)

_SCAFFOLD: Final = re.compile(r"\s*<think>\s*(</think>\s*)?\Z")


@dataclass(frozen=True, slots=True)
class Layout:
    """How a template frames an answer.

    ``frame`` is what stands around steps and answer after the prompt; ``end`` the text of the token that
    ends the turn, empty where the template has none; ``rest`` how long what follows the answer is;
    ``tail`` what that is. ``spliced``: the prompt has begun or skipped the thinking where the whole
    conversation has not, so that the answer is put behind the prompt instead of being cut out of it.
    """

    frame: Frame
    tail: str
    end: str
    spliced: bool


class Conversation:
    """Prompts and answers as a template writes them, in guarded texts.

    Raises:
        ConfigError: for a template that cannot be followed, saying what to set instead.
    """

    def __init__(
        self, encoder: Encoder, template: ChatTemplate, *, name: str, reasoning: str, system_prompt: str
    ) -> None:
        self._encoder, self._template, self._name, self._reasoning = encoder, template, name, reasoning
        self._system = system_prompt
        self._closing = CLOSE
        self.layout = self._probed()
        self._closing = self.layout.frame.closing

    def before(self, prompt: str) -> str:
        """Write what stands before an answer."""
        return self._asked(self._encoder.guard(prompt)).text

    def divided(self, prompt: str, steps: Sequence[str], answer: str) -> tuple[str, str]:
        """Write a conversation in two: what stands before the answer, and the answer with its end.

        Raises:
            ConfigError: when the template writes this conversation unlike others.
        """
        said = say(self._reasoning, steps, answer, guard=self._encoder.guard, closing=self._closing)
        question = self._encoder.guard(prompt)
        before = self._asked(question).text
        layout = self.layout
        if layout.spliced:
            body = _spliced(said, layout.frame)
        else:
            body = self._body(before, self._whole(question, said), layout.tail)
        if not _has_all(body, said.parts) or not _has_all(before, [question]):
            raise ConfigError(
                f"{self._name}: its chat template changes the text of a trace ({prompt[:60]!r}…). Remove "
                "the trace from the dataset, or correct the template."
            )
        return before, body + layout.frame.trail + layout.end

    def _messages(self, question: str) -> list[dict[str, str]]:
        system = [{"role": "system", "content": self._encoder.guard(self._system)}] if self._system else []
        return [*system, {"role": "user", "content": question}]

    def _asked(self, question: str) -> Rendered:
        return self._template.render(self._messages(question), add_generation_prompt=True)

    def _whole(self, question: str, said: Said) -> Rendered:
        return self._template.render([*self._messages(question), said.message], add_generation_prompt=False)

    def _body(self, before: str, whole: Rendered, tail: str) -> str:
        """Cut the answer out of the conversation, without what follows it."""
        if not whole.text.startswith(before) or not whole.text.endswith(tail):
            raise ConfigError(
                f"{self._name}: its chat template writes one trace unlike another, so that its prompt is "
                "no beginning of the conversation. Correct the template."
            )
        begin, end = len(before), len(whole.text) - len(tail)
        spans = [(first, last) for first, last in whole.spans if last > begin]
        if whole.spans and (len(spans) != 1 or spans[0][0] != begin or spans[0][1] < end):
            raise ConfigError(
                f"{self._name}: the {{% generation %}} blocks of its chat template do not begin right "
                "after the generation prompt and reach to the end of the answer (it ends at character "
                f"{end - begin} after that prompt, the blocks are "
                f"{[(a - begin, b - begin) for a, b in spans]}). Only one span that does can be trained "
                "on: move the block, or take it out of the template."
            )
        return whole.text[begin:end]

    def _probed(self) -> Layout:
        guard = self._encoder.guard
        question = guard(PROBE_PROMPT)
        said = say(self._reasoning, PROBE_STEPS, PROBE_ANSWER, guard=guard, closing=CLOSE)
        try:
            before, whole = self._asked(question).text, self._whole(question, said)
        except TemplateRefusedError as error:
            raise self._told(error) from error
        self._require_unchanged(question, said, before, whole.text)
        place = whole.text.rfind(said.parts[-1])
        if place < 0:
            raise self._changes("the text of the answer", "Take another template, or none")
        tail = whole.text[place + len(said.parts[-1]) :]
        found = self._encoder.first_control(tail)
        trail, end = ("", "") if found is None else (tail[: found[0]], tail[slice(*found)])
        if not whole.text.startswith(before):
            return Layout(self._scaffolded(before, whole, trail), tail, end, spliced=True)
        body = self._body(before, whole, tail)
        lead, between = self._around(body, said, before)
        return Layout(Frame(lead, between, trail), tail, end, spliced=False)

    def _told(self, error: TemplateRefusedError) -> ConfigError:
        """Say that the system message is what a template refuses, where it is."""
        if not self._system:
            return error
        kept, self._system = self._system, ""
        try:
            self._asked(self._encoder.guard(PROBE_PROMPT))
        except TemplateRefusedError:
            return error
        finally:
            self._system = kept
        return ConfigError(
            f"{self._name}: its chat template refuses a system message ({error.reason}). Set system_prompt "
            "to nothing, and put what it says into the prompts."
        )

    def _require_unchanged(self, question: str, said: Said, before: str, whole: str) -> None:
        if question.strip() not in before:
            raise self._changes("the text of the prompt", "Take another template, or none")
        if self._system and self._encoder.guard(self._system).strip() not in before:
            raise self._changes("or leaves out the system message", "Set system_prompt to nothing")
        # What it makes of texts that are not guarded must be the same.
        shown = self._encoder.shown
        message = {key: shown(value) for key, value in said.message.items()}
        messages = [{**one, "content": shown(one["content"])} for one in self._messages(question)]
        plain = self._template.render([*messages, message], add_generation_prompt=False)
        if self._encoder.first_control(self._system) is None and plain.text != shown(whole):
            raise self._changes("the characters of texts", "Take another template, or none")

    def _around(self, body: str, said: Said, before: str) -> tuple[str, str]:
        """Find what stands before the first text of an answer, and between both where there are two."""
        if self._reasoning == "plain":
            return body.removesuffix(said.parts[0]), ""
        place = body.find(said.parts[0])
        if place < 0:
            if self._reasoning == "think":
                raise self._changes(
                    "or leaves out what stands between <think> and </think>", "Set reasoning=plain"
                )
            raise self._changes("or leaves out reasoning_content", "Set reasoning=think or plain")
        between = body[place + len(said.parts[0]) :].removesuffix(said.parts[1])
        if not between.strip():
            raise ConfigError(
                f"{self._name}: its chat template writes nothing between reasoning_content and the answer, "
                "so that they could not be told apart. Set reasoning=think or plain."
            )
        return body[:place], between

    def _scaffolded(self, before: str, whole: Rendered, trail: str) -> Frame:
        """Frame an answer behind a prompt that has already begun the thinking, or skipped it."""
        found = _SCAFFOLD.search(before)
        if found is None or not whole.text.startswith(before[: found.start()]):
            raise self._changes(
                "what stands before an answer once there is one, so that training would see another "
                "prompt than generation does",
                "Correct the template so that its generation prompt begins what it writes of an answer",
            )
        if whole.spans:
            raise ConfigError(
                f"{self._name}: the generation prompt of its chat template has a <think> that its {{% "
                "generation %} blocks know nothing of. Take the blocks out of the template."
            )
        if found[1] is None and self._reasoning == "plain":
            raise ConfigError(
                f"{self._name}: its chat template begins every answer with <think>. Set reasoning=think."
            )
        if found[1] is not None and self._reasoning != "plain":
            raise ConfigError(
                f"{self._name}: its chat template ends the thinking before every answer. Set reasoning=plain."
            )
        lead = "" if found[0].endswith("\n") or self._reasoning == "plain" else "\n"
        return Frame(lead, "" if self._reasoning == "plain" else f"\n{CLOSE}\n\n", trail)

    def _changes(self, what: str, instead: str) -> ConfigError:
        return ConfigError(f"{self._name}: its chat template changes {what}. {instead}.")


def _spliced(said: Said, frame: Frame) -> str:
    if len(said.parts) == 1:
        return frame.lead + said.parts[0]
    return frame.lead + thinking(*said.parts).removeprefix(f"{OPEN}\n")


def _has_all(text: str, parts: Sequence[str]) -> bool:
    """Tell whether a text has all parts in order, be its whitespace as it may: templates trim."""
    text, place = "".join(text.split()), 0
    for part in parts:
        wanted = "".join(part.split())
        place = text.find(wanted, place)
        if place < 0:
            return False
        place += len(wanted)
    return True
