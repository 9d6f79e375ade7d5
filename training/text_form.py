"""How one model reads and writes traces: from a trace to token ids and back. Imports no JAX.

From scratch a trace is bytes, one step a line. A base model brings its own tokenizer and chat template.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, Protocol

from training.bases import find_base, is_base
from training.config import TrainConfig
from training.errors import ConfigError
from training.examples import TraceExample
from training.rendering import (
    RENDERING_VERSION,
    ParsedText,
    Target,
    completion_text,
    parse_completion,
    prompt_text,
)
from training.tokenizer import TOKENIZER


class TextForm(Protocol):
    """The one place that knows which ids a model is given, and what the ids that it writes mean.

    ``pad`` fills rows and is never supervised; a text is over after any id of ``ends``; ids run from 0
    to ``vocab_size`` - 1; ``hash`` covers everything that decides which ids a trace gets.
    """

    @property
    def pad(self) -> int:
        """The id that fills what no trace takes."""
        ...

    @property
    def ends(self) -> tuple[int, ...]:
        """Ids after which a text is over."""
        ...

    @property
    def vocab_size(self) -> int:
        """One more than the largest id in use."""
        ...

    @property
    def hash(self) -> str:
        """SHA-256 (hex) over everything that decides which ids a trace gets."""
        ...

    def prompt(self, prompt: str) -> list[int]:
        """Give the ids after which the model begins to write."""
        ...

    def trace(self, example: TraceExample, target: Target) -> tuple[list[int], int]:
        """Give all ids of a trace, an end id last, and how many of the first are its prompt.

        The first ids are those of `prompt`; all after them are supervised.
        """
        ...

    def decode(self, tokens: list[int]) -> str:
        """Turn written ids into text; ends and padding vanish."""
        ...

    def decode_begun(self, tokens: list[int]) -> str:
        """Turn the first ids of a text into a beginning of it, whatever ids may follow."""
        ...

    def parse(self, text: str) -> ParsedText:
        """Read steps and answer out of what a model wrote."""
        ...


@dataclass(frozen=True, slots=True)
class ByteForm:
    """Traces as UTF-8 bytes, in the text form of `training.rendering`."""

    pad: int = TOKENIZER.pad
    ends: tuple[int, ...] = (TOKENIZER.eos,)
    vocab_size: int = TOKENIZER.vocab_size
    hash: str = TOKENIZER.hash

    def prompt(self, prompt: str) -> list[int]:
        """Give the bytes of the prompt and a line break."""
        return TOKENIZER.encode(prompt_text(prompt))

    def trace(self, example: TraceExample, target: Target) -> tuple[list[int], int]:
        """Give prompt, completion and EOS, and the size of the prompt."""
        before = self.prompt(example.prompt)
        return [*before, *TOKENIZER.encode(completion_text(example, target)), TOKENIZER.eos], len(before)

    def decode(self, tokens: list[int]) -> str:
        """Turn bytes into text."""
        return TOKENIZER.decode(tokens)

    def decode_begun(self, tokens: list[int]) -> str:
        """Turn bytes into text, leaving out a character that has only begun."""
        return TOKENIZER.decode_begun(tokens)

    def parse(self, text: str) -> ParsedText:
        """Read one step a line, then ``#`` and the answer."""
        return parse_completion(text)


BYTES: Final = ByteForm()


def text_form(config: TrainConfig) -> TextForm:
    """Return the form of the recipe's model, whose tokenizer and template run in this process.

    Raises:
        ConfigError: for a base model that is not here, or whose tokenizer or template cannot be used.
    """
    if not is_base(config.model):
        return BYTES
    base = find_base(config.model)
    return _of_base(base.folder, config.reasoning, config.system_prompt)


@lru_cache(maxsize=8)
def _of_base(folder: Path, reasoning: str, system_prompt: str) -> TextForm:
    try:
        from training.hf.text import load_text_form
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"Reading the tokenizer of a base model needs the package {error.name}, which belongs to the "
            "extra `models`: pip install 'tunix-site[models]'."
        ) from error
    return load_text_form(folder, reasoning=reasoning, system_prompt=system_prompt)


def form_hash(*facts: object) -> str:
    """Return the SHA-256 (hex) over facts that can be written as JSON, and the version of the text form."""
    told = json.dumps([RENDERING_VERSION, *facts], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()
