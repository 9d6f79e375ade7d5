"""Texts as comparisons see them: normalised words, and hashes of runs of words."""

import hashlib
from collections.abc import Sequence

from datasets_app.selectors import MemberTrace
from datasets_app.traces import normalise_prompt

SHINGLE = 5
GRAM = 13


def whole_text(member: MemberTrace) -> str:
    """Give prompt, steps and answer as one text, a line each."""
    return "\n".join([member.prompt, *member.steps, member.final_answer])


def words_of(text: str) -> list[str]:
    """Give the words of a text: NFKC, casefolded, split at white space."""
    return normalise_prompt(text).split()


def hash64(text: str) -> int:
    """Hash a text to 64 bits, the same in every process."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())


def runs_of(words: Sequence[str], size: int) -> set[int]:
    """Hash every run of ``size`` words; a shorter text is one run."""
    last = max(1, len(words) - size + 1)
    return {hash64(" ".join(words[at : at + size])) for at in range(last)}


def jaccard(one: set[int], other: set[int]) -> float:
    """Give the share of common elements among all: |A ∩ B| / |A ∪ B|."""
    common = len(one & other)
    return common / (len(one) + len(other) - common) if common else 0.0
