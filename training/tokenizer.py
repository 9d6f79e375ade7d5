"""Bytes as tokens, with an end and a padding id of their own. Imports no JAX."""

import codecs
import hashlib
import json
from dataclasses import dataclass
from typing import Final

from training.errors import CheckpointError


@dataclass(frozen=True, slots=True)
class ByteTokenizer:
    """One token for each byte of the UTF-8 text, then PAD and EOS, which no text can produce.

    ``vocab_size`` counts the ids that are in use; a model's table may be larger.
    """

    pad: int = 256
    eos: int = 257
    vocab_size: int = 258

    def encode(self, text: str) -> list[int]:
        """Turn text into byte ids; lone surrogates keep their three bytes, so nothing is refused."""
        return list(text.encode("utf-8", "surrogatepass"))

    def count(self, text: str) -> int:
        """Give the number of ids that `encode` would make."""
        return len(text.encode("utf-8", "surrogatepass"))

    def decode(self, tokens: list[int]) -> str:
        """Turn ids into text: PAD and EOS vanish, bytes that are no UTF-8 show as U+FFFD."""
        return bytes(token for token in tokens if token < 256).decode("utf-8", "replace")

    def decode_begun(self, tokens: list[int]) -> str:
        """Turn the first ids of a text into its beginning: a last character that has only begun is left out.

        What later ids give begins with this, so that a text can be shown while it is written.
        """
        written = bytes(token for token in tokens if token < 256)
        return codecs.getincrementaldecoder("utf-8")("replace").decode(written)

    @property
    def hash(self) -> str:
        """SHA-256 over everything that decides which ids a text gets."""
        facts = {
            "type": "utf-8 bytes",
            "version": 1,
            "pad": self.pad,
            "eos": self.eos,
            "vocab_size": self.vocab_size,
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


TOKENIZER: Final = ByteTokenizer()


def require_same_tokenizer(stored_hash: str, wanted_hash: str, *, where: str) -> None:
    """Refuse weights that were trained on other token ids, or on texts put into another form.

    Raises:
        CheckpointError: naming both hashes.
    """
    if stored_hash != wanted_hash:
        raise CheckpointError(
            f"{where} was trained with another tokenizer (hash {stored_hash[:12] or 'missing'}…, "
            f"here {wanted_hash[:12]}…), so its weights mean other tokens. "
            "Use the version of the project that wrote it, or train anew."
        )
