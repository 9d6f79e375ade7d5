"""How a base model reads and writes traces: by its own tokenizer and chat template. Imports no JAX.

Without a template a text is the prompt, a line break, and steps and answer, as from scratch, with the tokens
around it that the tokenizer itself puts there.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from training.errors import ConfigError
from training.examples import TraceExample
from training.hf.chat import ChatTemplate
from training.hf.conventions import FIXED_DATE
from training.hf.encoder import Encoder
from training.hf.reasoning import (
    CLOSE,
    OPEN,
    PROBE_ANSWER,
    PROBE_PROMPT,
    PROBE_STEPS,
    Frame,
    read,
    say,
    thinking,
)
from training.hf.spans import Conversation
from training.hf.special_ids import end_ids, pad_id
from training.hf.tokenizer_files import TokenizerFiles, read_tokenizer_files
from training.rendering import ParsedText, Target, prompt_text
from training.text_form import TextForm, form_hash

FORM_VERSION: Final = 1


class Writer(Protocol):
    """Writes prompts and answers as guarded texts; see `training.hf.encoder`."""

    def before(self, prompt: str) -> str:
        """Write what stands before an answer."""
        ...

    def divided(self, prompt: str, steps: tuple[str, ...], answer: str) -> tuple[str, str]:
        """Write what stands before an answer, and the answer."""
        ...


@dataclass(frozen=True, slots=True)
class PlainWriter:
    """Texts of a model that has no chat template."""

    encoder: Encoder
    reasoning: str

    def before(self, prompt: str) -> str:
        """Write the prompt and a line break."""
        return self.encoder.guard(prompt_text(prompt))

    def divided(self, prompt: str, steps: tuple[str, ...], answer: str) -> tuple[str, str]:
        """Write the prompt, and steps and answer."""
        said = say(self.reasoning, steps, answer, guard=self.encoder.guard, closing=CLOSE)
        return self.before(prompt), said.message["content"]


@dataclass(frozen=True, slots=True)
class HfForm:
    """Traces in the tokens of a base model; see `training.text_form.TextForm`.

    ``bare_end`` tells that the end is no part of what the template writes; ``begin`` are the ids before a
    text without a template.
    """

    pad: int
    ends: tuple[int, ...]
    vocab_size: int
    hash: str
    encoder: Encoder
    writer: Writer
    reasoning: str
    frame: Frame
    begin: tuple[int, ...]
    bare_end: bool

    def prompt(self, prompt: str) -> list[int]:
        """Give the ids after which the model begins to write."""
        return [*self.begin, *self.encoder.encode(self.encoder.seal(self.writer.before(prompt)))]

    def trace(self, example: TraceExample, target: Target) -> tuple[list[int], int]:
        """Give all ids of a trace, an end id last, and how many of the first are its prompt.

        Raises:
            ConfigError: when the chat template changes this trace's text.
        """
        steps = example.steps if target == "trace" else ()
        parts = self.writer.divided(example.prompt, steps, example.final_answer)
        before_text, after = map(self.encoder.seal, parts)
        before = self.encoder.encode(before_text)
        ids = self.encoder.continued(before, before_text, after)
        end = self.ends[:1] if self.bare_end else ()
        return [*self.begin, *ids, *end], len(self.begin) + len(before)

    def decode(self, tokens: list[int]) -> str:
        """Turn written ids into text; ends and padding vanish."""
        return self.encoder.decode(self._written(tokens))

    def decode_begun(self, tokens: list[int]) -> str:
        """Turn the first ids of a text into a beginning of it, whatever ids may follow."""
        return self.encoder.decode_begun(self._written(tokens))

    def parse(self, text: str) -> ParsedText:
        """Read steps and answer out of what a model wrote."""
        return read(self.reasoning, text, self.frame)

    def _written(self, tokens: list[int]) -> list[int]:
        return [token for token in tokens if token != self.pad and token not in self.ends]


def load_text_form(folder: Path, *, reasoning: str, system_prompt: str) -> TextForm:
    """Read a base model's tokenizer and chat template, and make sure that traces can be written and read.

    Raises:
        ConfigError: naming the model, what is wrong and what to set or do.
    """
    files = read_tokenizer_files(folder)
    encoder = Encoder(files, tags=() if reasoning == "plain" else (OPEN, CLOSE))
    form = _with_template if files.template else _without_template
    made = form(files, encoder, reasoning, system_prompt)
    _require_readable(made, files.name)
    return made


def _with_template(files: TokenizerFiles, encoder: Encoder, reasoning: str, system_prompt: str) -> HfForm:
    template = ChatTemplate(
        files.template, name=files.name, special=files.special, thinking=reasoning != "plain"
    )
    writer = Conversation(
        encoder, template, name=files.name, reasoning=reasoning, system_prompt=system_prompt
    )
    return _made(files, encoder, writer, reasoning, system_prompt, writer.layout.frame, writer.layout.end)


def _without_template(files: TokenizerFiles, encoder: Encoder, reasoning: str, system_prompt: str) -> HfForm:
    if system_prompt:
        raise ConfigError(
            f"{files.name} has no chat template, so there is no place for a system message. Set "
            "system_prompt to nothing."
        )
    if reasoning == "reasoning_content":
        raise ConfigError(
            f"{files.name} has no chat template that could place reasoning_content. Set reasoning=think or "
            "plain."
        )
    lead, between, _ = ("", "", "") if reasoning == "plain" else thinking("\0", "\0").split("\0")
    return _made(
        files,
        encoder,
        PlainWriter(encoder, reasoning),
        reasoning,
        system_prompt,
        Frame(lead, between, ""),
        "",
    )


def _made(
    files: TokenizerFiles,
    encoder: Encoder,
    writer: Writer,
    reasoning: str,
    system_prompt: str,
    frame: Frame,
    end: str,
) -> HfForm:
    ends = end_ids(files, encoder, end)
    pad = pad_id(files, encoder, ends)
    told = form_hash(
        "hugging face", FORM_VERSION, files.tokenizer_hash, files.template, files.special, files.eos_ids,
        files.table, reasoning, system_prompt, ends, pad, FIXED_DATE.isoformat(),
    )  # fmt: skip
    return HfForm(
        pad=pad,
        ends=ends,
        vocab_size=max(encoder.size, pad + 1),
        hash=told,
        encoder=encoder,
        writer=writer,
        reasoning=reasoning,
        frame=frame,
        begin=() if files.template else tuple(encoder.begin()),
        bare_end=not end,
    )


def _require_readable(form: HfForm, name: str) -> None:
    """Write a trace, and read it back from its tokens."""
    example = TraceExample("", PROBE_PROMPT, PROBE_STEPS, PROBE_ANSWER)
    ids, size = form.trace(example, "trace")
    found = form.parse(form.decode(ids[size:]))
    if found.steps != PROBE_STEPS or found.answer != PROBE_ANSWER or ids[-1] not in form.ends:
        raise ConfigError(
            f"{name}: what its tokenizer makes of a trace cannot be read back (of {PROBE_ANSWER!r} came "
            f"{found.answer!r}). Its tokenizer or its chat template loses text, so that no answer could be "
            "graded; take another model."
        )
