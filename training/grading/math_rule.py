"""Equal expressions by the library math-verify, as a last rule and only where it can be trusted.

math-verify 0.9 refuses plain text that equals itself, takes *17 or 18* for 18, and stops itself by
SIGALRM, which works in the main thread alone. So equal answers are accepted before it is asked, an answer
with alternatives never reaches it, its alarms are off, and only short expressions without towers of
powers are handed to it, one at a time.
"""

import importlib
import importlib.util
import logging
import re
import threading
from collections.abc import Callable
from functools import cache
from typing import Any, Final

from training.errors import ConfigError
from training.grading.answers import compare_answers, no_answer
from training.grading.boxed import last_boxed
from training.grading.verdicts import AnswerVerdict, Written

PACKAGE: Final = "math_verify"
MISSING: Final = "The grader 'math' needs the package math-verify: pip install 'math-verify[antlr4_13_2]'."
MAX_CHARACTERS: Final = 200

# Words and signs by which an answer leaves more than one way open, or says that it is not sure.
_ALTERNATIVES: Final = re.compile(
    r"\b(?:or|either|maybe|perhaps|possibly|approximately|about|not)\b|\\(?:text|mathrm)\s*\{\s*(?:or|and)\s*\}|\?|\\lor\b|∨",
    re.IGNORECASE,
)
# What makes a computer algebra system work for minutes: powers of powers, long numbers, factorials.
_HEAVY: Final = re.compile(
    r"!|\d{31}|(?:\^|\*\*)[\s{(]*-?\d{4}|(?:\^|\*\*)[^-+*/=,;]*(?:\^|\*\*)|\\(?:int|sum|prod|lim|binom)", re.DOTALL
)
_ONE_AT_A_TIME: Final = threading.Lock()


def is_installed() -> bool:
    """Tell whether math-verify can be imported, without importing it."""
    return importlib.util.find_spec(PACKAGE) is not None


def judge_math(written: Written, expected: str) -> AnswerVerdict:
    """Accept equal texts and numbers, then what math-verify holds for equal.

    Raises:
        ConfigError: when math-verify is not installed.
    """
    equal = _equal_by_library()
    if written.answer is not None and written.answer == expected:
        return AnswerVerdict(True, "exact")
    box = last_boxed(written.text if written.answer is None else written.answer)
    given = written.answer if box is None else box
    if given is None:
        return no_answer(written)
    inner = last_boxed(expected)
    wanted = expected if inner is None else inner
    verdict = compare_answers(given, wanted)
    correct, rule = verdict.correct, verdict.rule
    if not correct and fit_for_the_library(given) and fit_for_the_library(wanted) and equal(given, wanted):
        correct, rule = True, "math-verify"
    return AnswerVerdict(correct, rule, box)


def fit_for_the_library(text: str) -> bool:
    """Tell whether an answer may be handed to math-verify: short, single, and quickly worked out."""
    if not text.strip() or len(text) > MAX_CHARACTERS:
        return False
    return not (_ALTERNATIVES.search(text) or _HEAVY.search(text))


@cache
def _equal_by_library() -> Callable[[str, str], bool]:
    if not is_installed():
        raise ConfigError(MISSING)
    library: Any = importlib.import_module(PACKAGE)
    # It warns about every call without its alarm, which is how it is meant here.
    for name in ("math_verify.parser", "math_verify.grader", "math_verify.utils"):
        logging.getLogger(name).setLevel(logging.CRITICAL)

    def equal(given: str, expected: str) -> bool:
        with _ONE_AT_A_TIME:
            try:
                left, right = (_parsed(library, text) for text in (given, expected))
                return bool(left and right and library.verify(right, left, timeout_seconds=None))
            except Exception:  # noqa: BLE001 - whatever a computer algebra system raises on odd input
                return False

    return equal


def _parsed(library: Any, text: str) -> Any:
    settings = [library.LatexExtractionConfig(), library.ExprExtractionConfig()]
    return library.parse(f"${text}$", extraction_config=settings, parsing_timeout=None)
