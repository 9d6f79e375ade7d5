"""Texts as decontamination compares them: lower-case words without punctuation, and runs of 13 of them.

After appendix C of "Language Models are Few-Shot Learners" (arXiv 2005.14165): a gram is a run of 13
lower-case words, split at white space, without punctuation. Operators beside a digit stay, for in
arithmetic they are the content: 3+4 is not 3*4.
"""

import re
import string
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

GRAM_WORDS: Final = 13
OPERATORS: Final = "+-*/=<>^%"

_DROPPED: Final = {ord(mark): None for mark in string.punctuation if mark not in OPERATORS}
_OTHER_MARKS: Final = re.compile(r"[^\w\s+\-*/=<>^%]|_")
# An operator that no digit touches, a space between the two aside, is punctuation like any other.
_BARE_OPERATORS: Final = re.compile(r"(?<!\d)(?<!\d\s)[-+*/=<>^%](?!\s?\d)")


def words_of(text: str) -> list[str]:
    """Give the words of a text: NFKC, lower case, without punctuation, split at white space."""
    if text.isascii():
        plain = text.lower().translate(_DROPPED)
    else:
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
        plain = _OTHER_MARKS.sub("", folded)
    return _BARE_OPERATORS.sub("", plain).split()


def whole_text(prompt: str, steps: Iterable[str], answer: str) -> str:
    """Give prompt, steps and answer as one text, a line each."""
    return "\n".join((prompt, *steps, answer))


def grams_of(words: Sequence[str]) -> Iterator[int]:
    """Hash every run of 13 words to 64 bits, the same within one process; nothing for fewer words."""
    return map(hash, zip(*(words[start:] for start in range(GRAM_WORDS)), strict=False))
