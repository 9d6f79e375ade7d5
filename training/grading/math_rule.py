"""Equal expressions by the library math-verify, as a last rule and only where it can be trusted.

math-verify 0.9 refuses plain text that equals itself, takes *17 or 18*, 17 = 18 and 17 | 18 for 18 and 50 %
for 50, and stops itself by SIGALRM, which works in the main thread alone. So equal answers are accepted
before it is asked, two numbers and an answer with alternatives never reach it, its alarms are off, and only
short expressions without towers of powers are handed to it, one at a time.
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
from training.grading.numbers import read_quantity
from training.grading.verdicts import AnswerVerdict, Written

PACKAGE: Final = "math_verify"
MISSING: Final = "The grader 'math' needs the package math-verify: pip install 'math-verify[antlr4_13_2]'."
MAX_CHARACTERS: Final = 200

# Signs that leave more than one way open or lead from one thing to another: of 17 | 18, 17 => 18, "17. 18"
# and two lines the library takes what it likes.
_SEVERAL: Final = re.compile(
    r"[|;?\n\u2228\u2192\u21d2\u2026]|[=-]>|\.\s"
    r"|\\(?:to|l?or|vee|mid|quad|text|mathrm|implies|(?:[Ll]ong)?[Rr]ightarrow)\b"
)
# Of an equation the library compares one side; only x = … is an answer.
_EQUATION: Final = re.compile(r"\s*[A-Za-z](?:_\w)?\s*=[^=]+")
# What makes a computer algebra system work for minutes: powers of powers, long numbers, factorials.
_HEAVY: Final = re.compile(
    r"!|\d{31}|(?:\^|\*\*)[\s{(]*-?\d{4}|(?:\^|\*\*)[^-+*/=,;]*(?:\^|\*\*)"
    r"|\\(?:int|sum|prod|lim|binom)",
    re.DOTALL,
)
_WORD: Final = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")
_FUNCTION: Final = re.compile(r"(?:arc)?(?:sin|cos|tan)|cot|sec|csc|log|exp|sqrt")
_SHORT_WORD: Final = re.compile(r"or|ou|vs|to|if|is|no|so|by|of|in|at|as|an|et|on")
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
    if not correct and _may_be_asked(given, wanted) and equal(given, wanted):
        correct, rule = True, "math-verify"
    return AnswerVerdict(correct, rule, box)


def _may_be_asked(given: str, wanted: str) -> bool:
    """Tell whether two answers are expressions to compare; what two numbers are is known already."""
    if read_quantity(given) is not None and read_quantity(wanted) is not None:
        return False
    return fit_for_the_library(given) and fit_for_the_library(wanted)


def fit_for_the_library(text: str) -> bool:
    """Tell whether an answer may be handed to math-verify: one short expression, quickly worked out."""
    if not text.strip() or len(text) > MAX_CHARACTERS or _SEVERAL.search(text) or _HEAVY.search(text):
        return False
    if "=" in text and not _EQUATION.fullmatch(text):
        return False
    words = (word.casefold() for word in _WORD.findall(text))
    return all(
        _FUNCTION.fullmatch(word) or (len(word) == 2 and not _SHORT_WORD.fullmatch(word)) for word in words
    )


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
            except Exception:  # whatever a computer algebra system raises on odd input
                return False

    return equal


def _parsed(library: Any, text: str) -> Any:
    settings = [library.LatexExtractionConfig(), library.ExprExtractionConfig()]
    return library.parse(f"${text}$", extraction_config=settings, parsing_timeout=None)
