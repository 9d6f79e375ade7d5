"""What an evaluation has generated so far, on the disk, so that one that was cut off goes on where it was.

An append-only file with one line for each batch of texts::

    {"key":"5f0c…","start":128,"seconds":0.81,"texts":[["7+3=0\\n#0",8,true],…],"sum":"9d41c07be2a4f8b1"}

``start`` is the number of the batch's first text, ``sum`` the beginning of the SHA-256 over all bytes
before it.
``key`` stands for everything that decides the texts; lines of another key are passed over. Each line is
verified when it is read, so a torn or damaged one costs its own batch alone. Imports no JAX.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from training.decoding import GeneratedText

SUM_DIGITS: Final = 16
_SEAL: Final = ',"sum":"'
_SEAL_BYTES: Final = len(_SEAL) + SUM_DIGITS + len('"}')


def key_of(facts: Mapping[str, Any]) -> str:
    """Hash what decides the texts of an evaluation."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Batch:
    """Texts that were generated together, and the seconds that took."""

    texts: list[GeneratedText]
    seconds: float


class WrittenTexts:
    """The file of one evaluation's texts: what it holds already, and where more goes.

    ``batches`` holds what was read, by the number of a batch's first text; ``damaged`` counts lines
    that could not be used. A disk that takes no more is told once and costs the resume, not the evaluation.
    """

    def __init__(self, path: Path, *, key: str, told: Callable[[str], None] = lambda _: None) -> None:
        self.path, self.key = path, key
        self.batches: dict[int, Batch] = {}
        self.damaged = 0
        self._told = told
        self._broken = self._cut_off = False

    @classmethod
    def read(cls, path: Path, *, key: str, told: Callable[[str], None] = lambda _: None) -> Self:
        """Read what a file holds of the evaluation with this key; a missing one holds nothing."""
        found = cls(path, key=key, told=told)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return found
        except OSError as error:
            found._tell(f"{path} cannot be read ({error}); all texts are generated again.")
            return found
        found._cut_off = bool(content) and not content.endswith(b"\n")
        for line in content.split(b"\n"):
            found._take(line)
        if found.damaged:
            found._tell(
                f"{found.damaged} batch(es) of generated texts were damaged; they are generated again."
            )
        return found

    def keep(self, start: int, texts: Sequence[GeneratedText], seconds: float) -> None:
        """Append a batch, durably."""
        self.batches[start] = Batch(list(texts), seconds)
        if self._broken:
            return
        line = seal(self.key, start, texts, seconds)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                # What a killed process left half-written must not swallow this line.
                file.write(b"\n" + line if self._cut_off else line)
                file.flush()
                os.fsync(file.fileno())
            self._cut_off = False
        except OSError as error:
            self._broken = True
            self._tell(f"{self.path} takes no more ({error}); if this is stopped, it begins again there.")

    def _take(self, line: bytes) -> None:
        if not line:
            return
        content = unseal(line)
        if content is None:
            self.damaged += 1
        elif content[0] == self.key:
            self.batches[content[1]] = content[2]

    def _tell(self, message: str) -> None:
        self._told(f"Warning: {message}")


def seal(key: str, start: int, texts: Sequence[GeneratedText], seconds: float) -> bytes:
    """Write a batch as a line with its checksum, newline included."""
    rows = [[text.text, text.tokens, text.stopped_at_eos] for text in texts]
    content = {"key": key, "start": start, "seconds": round(seconds, 6), "texts": rows}
    body = json.dumps(content, separators=(",", ":"))[:-1]
    return f'{body}{_SEAL}{_sum(body.encode())}"}}\n'.encode()


def unseal(line: bytes) -> tuple[str, int, Batch] | None:
    """Read a line without its newline: its key, its start and its batch; None where it is not as written."""
    body, seal_bytes = line[:-_SEAL_BYTES], line[-_SEAL_BYTES:]
    if seal_bytes != f'{_SEAL}{_sum(body)}"}}'.encode():
        return None
    try:
        content = json.loads(line)
        texts = [
            GeneratedText(str(text), int(tokens), bool(ended)) for text, tokens, ended in content["texts"]
        ]
        return str(content["key"]), int(content["start"]), Batch(texts, float(content["seconds"]))
    except (ValueError, KeyError, TypeError):
        return None


def _sum(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:SUM_DIGITS]
