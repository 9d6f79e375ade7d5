"""What changed between two texts of a model: word by word, and step by step."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Final, Literal

_WORDS: Final = re.compile(r"\s+|\S+")
_LINES: Final = re.compile(r"[^\n]*\n|[^\n]+")
MAX_WORDS: Final = 3000
# Beyond this many comparisons frequent words serve no longer as anchors, which keeps the time bounded.
EXACT_PAIRS: Final = 250_000

Kind = Literal["same", "gone", "new"]
Change = Literal["", "same", "changed", "new", "gone"]


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text that stayed, went or came."""

    kind: Kind
    text: str


@dataclass(frozen=True, slots=True)
class StepRow:
    """One generated step: the verdict on it, what was expected, and what stood there before."""

    number: int | None
    generated: str | None
    valid: bool | None
    expected: str | None
    before: str | None
    change: Change


def diff_words(before: str, after: str) -> list[Piece]:
    """Tell word by word what changed; very long texts line by line."""
    pattern = _WORDS
    old, new = _WORDS.findall(before), _WORDS.findall(after)
    if max(len(old), len(new)) > MAX_WORDS:
        old, new = _LINES.findall(before), _LINES.findall(after)
        pattern = _LINES
    if pattern is _LINES and max(len(old), len(new)) > MAX_WORDS:
        return [Piece("same", after)] if before == after else [Piece("gone", before), Piece("new", after)]
    pieces: list[Piece] = []
    for tag, i, j, k, m in _matcher(old, new).get_opcodes():
        if tag == "equal":
            pieces.append(Piece("same", "".join(new[k:m])))
            continue
        if i < j:
            pieces.append(Piece("gone", "".join(old[i:j])))
        if k < m:
            pieces.append(Piece("new", "".join(new[k:m])))
    return pieces


def step_rows(
    generated: Sequence[str],
    valid: Sequence[bool | None],
    expected: Sequence[str],
    before: Sequence[str] | None,
) -> list[StepRow]:
    """Lay generated steps beside the expected ones and say what changed since ``before``."""
    aligned: list[tuple[int | None, str | None, Change]] = (
        [(at, None, "") for at in range(len(generated))] if before is None else _aligned(before, generated)
    )
    rows = []
    for at, old, change in aligned:
        if at is None:
            rows.append(StepRow(None, None, None, None, old, change))
            continue
        rows.append(
            StepRow(
                at + 1,
                generated[at],
                valid[at] if at < len(valid) else None,
                expected[at] if at < len(expected) else None,
                old,
                change,
            )
        )
    missing = expected[len(generated) :]
    return rows + [
        StepRow(len(generated) + at, None, None, text, None, "") for at, text in enumerate(missing, start=1)
    ]


def _aligned(before: Sequence[str], after: Sequence[str]) -> list[tuple[int | None, str | None, Change]]:
    rows: list[tuple[int | None, str | None, Change]] = []
    for tag, i, j, k, m in _matcher(before, after).get_opcodes():
        if tag == "equal":
            rows += [(at, before[i + at - k], "same") for at in range(k, m)]
            continue
        for old, new in zip_longest(range(i, j), range(k, m)):
            change: Change = "new" if old is None else "gone" if new is None else "changed"
            rows.append((new, None if old is None else before[old], change))
    return rows


def _matcher(before: Sequence[str], after: Sequence[str]) -> "SequenceMatcher[str]":
    return SequenceMatcher(None, before, after, autojunk=len(before) * len(after) > EXACT_PAIRS)
