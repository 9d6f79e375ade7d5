"""Multiple choice, A to J, in the spellings that models use."""

import re
from typing import Final

from training.grading.answers import DIFFERENT, no_answer
from training.grading.boxed import last_boxed
from training.grading.texts import plain
from training.grading.verdicts import AnswerVerdict, Written

SEVERAL: Final = "several choices"
NONE: Final = "no choice"
MAX_CHARACTERS: Final = 20_000

# All patterns read texts whose lines hold single spaces alone (`_tidy`), so that none can be kept busy.
_OPEN, _CLOSE = r"[(\[*_\"'`$]{0,4}", r"[)\]*_\"'`$]{0,4}"
# The whole answer is a letter: B, (b), **B.**, \text{B}
_ALONE: Final = re.compile(
    rf"(?:\\(?:text|mathrm|textbf|mathbf) ?\{{)? ?(?:option |choice )?"
    rf"{_OPEN}([A-J]){_CLOSE}[.:,)]?{_CLOSE} ?\}}?\.?",
    re.IGNORECASE,
)
# A letter, then what it stands for: (B) Paris, B. Paris, B: Paris
_LABEL: Final = re.compile(r"(?:[(\[]([A-J])[)\]]|\*{0,3}([A-J])[.):])(?=[\s*])")
# A sentence that says so. After A and I, which are words too, and after a small letter it must stop.
_SAID: Final = re.compile(
    r"(?i:answer|choice|option)\W{0,4}(?i:is|are|(?:must|should|would|will) be)?[\s:=]{0,3}"
    r"(?i:(?:most )?(?:likely|probably|clearly) )?(?i:(?:option|choice|answer) )?"
    rf"{_OPEN}([A-Ja-j])(?![\w'’]){_CLOSE}(?=(.{{0,12}}))",
    re.DOTALL,
)
_STOPS: Final = re.compile(r" ?(?:$|[.,;:!?)\]*\n]|because\b|since\b|as\b|which\b|for\b)", re.IGNORECASE)
_AND_ANOTHER: Final = re.compile(r"\s?(?:or|and|/|,|&|\+) ?[(\[*]{0,3}[A-J](?![\w'’])")
_CLEAR: Final = frozenset("BCDEFGHJ")


def judge_choice(written: Written, expected: str) -> AnswerVerdict:
    """Judge the letter that an answer names; without a line of its own, what the text says last."""
    if written.answer is not None and written.answer == expected:
        return AnswerVerdict(True, "exact")
    wanted = letter_of(expected)
    text = written.text if written.answer is None else written.answer
    found = letter_of(text) if written.answer is not None else _said(text) or _boxed_letter(text)
    if found is None:
        return no_answer(written) if written.answer is None else AnswerVerdict(False, NONE)
    if found == SEVERAL:
        return AnswerVerdict(False, SEVERAL)
    return AnswerVerdict(found == wanted, "choice" if found == wanted else DIFFERENT, found)


def letter_of(answer: str) -> str | None:
    """Give the letter, A to J, that an answer names; `SEVERAL` for more than one, None for none."""
    text = _tidy(answer[:MAX_CHARACTERS])
    if found := _ALONE.fullmatch(text):
        return found[1].upper()
    if found := _LABEL.match(text):
        letter = found[1] or found[2]
        return SEVERAL if _AND_ANOTHER.match(text, found.end()) else letter
    return _boxed_letter(text) or _said(text)


def _boxed_letter(text: str) -> str | None:
    inner = last_boxed(text)
    if inner is None:
        return None
    tidy = _tidy(inner[:MAX_CHARACTERS])
    found = _ALONE.fullmatch(tidy) or _LABEL.match(tidy)
    return next(filter(None, found.groups())).upper() if found else None


def _said(text: str) -> str | None:
    """Give the letter of the last sentence that names the answer."""
    letter = None
    for found in _SAID.finditer(_tidy(text[-MAX_CHARACTERS:])):
        if _AND_ANOTHER.match(found[2]):
            letter = SEVERAL
        elif found[1] in _CLEAR or _STOPS.match(found[2]):
            letter = found[1].upper()
    return letter


def _tidy(text: str) -> str:
    lines = (" ".join(line.split()) for line in plain(text).split("\n"))
    return "\n".join(line for line in lines if line)
