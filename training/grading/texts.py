"""Answers as texts: the form in which two of them are compared."""

import re
import unicodedata
from typing import Final

# Signs and separators that compatibility forms leave as they are, the last two those of Arabic script.
_PLAIN: Final = str.maketrans(
    dict.fromkeys("\u2212\u2010\u2011\u2012\u2013", "-")
    | {"\u2044": "/", "\u066a": "%", "\u066b": ".", "\u066c": ","}
)
_TYPED: Final = re.compile(r"<(super|sub|fraction)> ")


def normalise(answer: str) -> str:
    """Bring an answer into the form that is compared.

    Ignored are letter case, Unicode compatibility forms, the script of digits, surrounding and
    repeated white space, and one final full stop.
    """
    text = " ".join(plain(answer).casefold().split())
    return text.removesuffix(".").rstrip()


def plain(text: str) -> str:
    """Give Unicode compatibility forms, minus signs and digits of any script in their plain spelling.

    A raised digit stays a power and ``½`` a fraction: NFKC alone makes 102 of 10² and 11/2 of 1½.
    """
    if text.isascii():
        return text
    pieces: list[str] = []
    raised = False
    for character in text:
        typed = _TYPED.match(unicodedata.decomposition(character))
        kind = typed[1] if typed else ""
        if kind == "super":
            pieces.append("" if raised else "^")
        elif kind == "sub":
            pieces.append("_")
        elif kind == "fraction":
            pieces.append(" ")
        raised = kind == "super"
        digit = unicodedata.decimal(character, None)
        pieces.append(unicodedata.normalize("NFKC", character) if digit is None else str(digit))
    return unicodedata.normalize("NFKC", "".join(pieces)).translate(_PLAIN)
