"""What the values of a chat template weigh, before anything writes them out. Imports no JAX."""

import re
from collections.abc import ItemsView, KeysView, ValuesView
from typing import Any, Final

from jinja2.utils import Namespace

# Rough sizes in bytes of Python's objects; a list keeps eight for each of its members.
_TEXT: Final = 50
_LIST: Final = 56
_DICT: Final = 64
_OTHER: Final = 32
_VIEWS: Final = (ItemsView, KeysView, ValuesView)
_SPEC: Final = re.compile(
    r"%(?P<key>\()?(?(key)[^()]*\))[-#0 +]*(?P<width>\*|\d*)(?:\.(?P<precision>\*|\d*))?[hlL]?(?P<kind>.)",
    re.DOTALL,
)
_DIGITS: Final = 3


def weight(value: Any, most: int) -> int:
    """Weigh a value with all that is in it, in bytes, more or less; what is in it twice weighs twice.

    Stops above ``most``, so that the work is bounded too.
    """
    found, left = 0, [value]
    while left and found <= most:
        one = left.pop()
        if isinstance(one, str):
            found += _TEXT + len(one)
        elif isinstance(one, list | tuple):
            found += _LIST + 8 * len(one)
            if found <= most:
                left += one
        elif isinstance(one, Namespace):
            left.append(object.__getattribute__(one, "_Namespace__attrs"))
        elif isinstance(one, dict):
            found += _DICT + 16 * len(one)
            if found <= most:
                left += [*one.keys(), *one.values()]
        elif isinstance(one, _VIEWS):
            left.append(list(one))
        else:
            found += _OTHER
    return found


def formats_narrowly(text: str) -> bool:
    """Tell whether ``text % …`` puts no value into a width or a precision of a thousand or more."""
    place = text.find("%")
    while place >= 0:
        found = _SPEC.match(text, place)
        if found is None or found["kind"] == "(":
            # A key with parentheses in it, or no whole field: nothing that templates need.
            return False
        for size in (found["width"], found["precision"] or ""):
            if size == "*" or len(size.lstrip("0")) > _DIGITS:
                return False
        place = text.find("%", found.end())
    return True
