"""Units beside numbers: which words are some, and which spellings mean the same one."""

import re
from typing import Final

MAX_UNIT: Final = 40


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_UNIT: Final = re.compile(r"[^\W\d_]+(?:\^[23])?(?:(?: |-|/)[^\W\d_]+(?:\^[23])?){0,4}|°[cf]?|[$€£¥₹]")
_WORD: Final = re.compile(r"[^\W\d_]+|°")
_SCALES: Final = {
    "dozen": 12,
    "hundred": 10**2,
    "thousand": 10**3,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
}
_SCALE: Final = re.compile(rf" ({'|'.join(_SCALES)})(?![a-z])")
# Other words of one or two letters beside a number are algebra more often than a unit (2x, 3 ab).
_SHORT: Final = _words(
    "m g l s h w v mm cm km mg kg ml cl dl lb oz ft in yd hr kb mb gb tb hz kw mw a an of $ € £ ¥ ₹ ° °c °f"
)
# These alone may stand at a number without a space: 5km.
_JOINED: Final = (_SHORT - {"a", "an", "of", "in"}) | _words(
    "lbs hrs min mins sec secs mph kph kmh mpg kwh usd eur gbp"
)
# Beside a number these change what it says, so that it is not the whole answer.
_NO_UNITS: Final = _words(
    "or and to not no least most than about around approximately nearly almost over under "
    "remainder rem mod modulo th st nd rd am pm pi sqrt root squared cubed factorial plus minus "
    "divided multiplied by point half halves third thirds fourth fourths quarter quarters fifth fifths "
    "sixth sixths eighth eighths tenth tenths hundredth hundredths thousandth thousandths "
    "dozens hundreds thousands millions billions is are if ln log sin cos tan percent percentage "
    "hundred thousand million billion trillion dozen nan inf infinity bc ad oclock"
)
CURRENCIES: Final = frozenset("$€£¥₹")
_SAME: Final = {
    "us$": "$", "usd": "$", "dollar": "$",
    "eur": "€", "euro": "€",
    "gbp": "£", "pound": "£",
    "yen": "¥", "jpy": "¥", "rupee": "₹",
    "metre": "m", "meter": "m",
    "centimetre": "cm", "centimeter": "cm",
    "millimetre": "mm", "millimeter": "mm",
    "kilometre": "km", "kilometer": "km",
    "gram": "g", "gramme": "g", "kilogram": "kg", "kilo": "kg", "milligram": "mg", "kgs": "kg",
    "litre": "l", "liter": "l", "millilitre": "ml", "milliliter": "ml",
    "second": "s", "sec": "s", "minute": "min", "mins": "min", "hour": "h", "hr": "h", "hrs": "h",
    "lbs": "lb",
    "foot": "ft", "feet": "ft", "inch": "in", "°": "degree", "degree": "degree",
    "people": "person", "children": "child", "men": "man", "women": "woman", "mice": "mouse",
    "geese": "goose", "teeth": "tooth", "leaves": "leaf", "loaves": "loaf",
}  # fmt: skip


def scale_of(rest: str) -> tuple[int, str]:
    """Split *million* and the like off what stands after a number: the factor, and what is left."""
    found = _SCALE.match(rest)
    return (_SCALES[found[1]], rest[found.end() :]) if found else (1, rest)


def canonical_unit(written: str) -> str | None:
    """Give a unit in one spelling, empty for none; None where the words are no unit.

    ``written`` is what stands after the number, with the space between them where there is one.
    """
    text = written.strip()
    if not text or text == "us$":
        return "$" if text else ""
    if len(text) > MAX_UNIT or not _UNIT.fullmatch(text):
        return None
    words = [word.partition("^")[0] for word in re.split(r"[ /-]", text)]
    if not written.startswith(" ") and words[0] not in _JOINED:
        return None
    if any(word in _NO_UNITS or (len(word) < 3 and word not in _SHORT) for word in words):
        return None
    return _WORD.sub(lambda word: _stem(word[0]), text.removeprefix("of ").replace(" per ", "/"))


def _stem(word: str) -> str:
    """Give singular and plural, or the names in short and in full, one form: *cherr(y|ies)* → cherri."""
    if word in _SAME:
        return _SAME[word]
    if len(word) > 3 and word.endswith("s") and not word.endswith("ss"):
        word = word[:-1]
    if word in _SAME or len(word) < 3:
        return _SAME.get(word, word)
    word = word.removesuffix("e")
    return word[:-1] + "i" if word.endswith("y") else word
