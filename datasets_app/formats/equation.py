"""Plain lines ``a+b=c``: the prompt up to the equals sign, and the answer."""

import re

from datasets_app.formats.reading import LINE, Fields, Reading, reading
from datasets_app.formats.reading import text_of as text
from datasets_app.traces import TraceError

NAME = "equation"
SUMMARY = "plain lines a+b=c (also -, *, / and longer sums); no steps"
FIELDS = (LINE,)
LOSSLESS = False
_EQUATION = re.compile(r"\s*(-?\d+(?:\s*[-+*/]\s*-?\d+)+\s*=)\s*(-?\d+(?:\.\d+)?)\s*")


def matches(fields: Fields) -> bool:
    """Tell it by its form."""
    line = fields.get(LINE)
    return isinstance(line, str) and _EQUATION.fullmatch(line) is not None


def read(fields: Fields) -> Reading:
    """Read it. Whether the sum is right is not asked here: that is for the quality report."""
    line = text(fields, LINE)
    found = _EQUATION.fullmatch(line)
    if found is None:
        raise TraceError(LINE, f"{line.strip()[:60]!r} is not of the form a+b=c.")
    return reading(found[1], [], found[2])
