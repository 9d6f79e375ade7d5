"""What kind of thing the final answers are, and what is not ASCII."""

import re
from collections import Counter

_NUMBER = r"[-+−]?(?:\d{1,3}(?:,\d{3})+|\d+)"
_TYPES = (
    ("integer", re.compile(_NUMBER)),
    ("decimal", re.compile(rf"(?:{_NUMBER})?\.\d+(?:[eE][-+]?\d+)?|{_NUMBER}\.\d*(?:[eE][-+]?\d+)?")),
    ("fraction", re.compile(rf"{_NUMBER}\s*/\s*\d+|\\d?frac\{{[^{{}}]+\}}\{{[^{{}}]+\}}")),
    ("percentage", re.compile(rf"{_NUMBER}(?:\.\d+)?\s*\\?%")),
    ("money", re.compile(rf"[$€£¥]\s*{_NUMBER}(?:\.\d+)?|{_NUMBER}(?:\.\d+)?\s*(?:[$€£¥]|dollars|euros)")),
    ("yes or no", re.compile(r"yes|no|true|false", re.IGNORECASE)),
    ("choice", re.compile(r"\(?[A-Ea-e]\)?\.?")),
    ("number with a unit", re.compile(rf"{_NUMBER}(?:\.\d+)?\s*[^\W\d_]+(?:\s[^\W\d_]+)?")),
    ("list of numbers", re.compile(rf"[(\[]?{_NUMBER}(?:\.\d+)?(?:[,;\s]+{_NUMBER}(?:\.\d+)?)+[)\]]?")),
    ("one word", re.compile(r"[^\W\d_]+\.?")),
)
LONG_TEXT = 200


def answer_type(answer: str) -> str:
    """Name the kind of a final answer."""
    text = answer.strip()
    if len(text) > LONG_TEXT:
        return "long text"
    return next((name for name, pattern in _TYPES if pattern.fullmatch(text)), "text")


def other_characters(text: str) -> Counter[str]:
    """Count the characters beyond ASCII."""
    return Counter() if text.isascii() else Counter(character for character in text if ord(character) > 127)
