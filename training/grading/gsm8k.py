"""The two figures of GSM8K as EleutherAI's lm-evaluation-harness defines them (task ``gsm8k``).

*strict-match* takes the first ``#### N`` of the text, *flexible-extract* its last number; from what was
taken and from the reference go commas, dollar signs, everything up to the last ``#### `` and a final
full stop; then both must be the same characters, letter case aside. Nothing is compared as a number:
5.0 is not 5.

The harness sees raw text, and so do these graders where it holds ``####``. Elsewhere the text is in this
project's own form, steps and then a line ``#answer``; the harness would have seen the same solution with
``#### answer`` as its last line, so that is what is judged. Like the harness they also judge a text that
the length limit cut off.
"""

import re
from typing import Final

from training.grading.answers import DIFFERENT
from training.grading.verdicts import AnswerVerdict, Written

MARK: Final = "####"
STRICT: Final = re.compile(r"#### (-?[0-9.,]+)")
FLEXIBLE: Final = re.compile(r"(-?[$0-9.,]{2,})|(-?[0-9]+)")
NOTHING: Final = "nothing extracted"


def as_the_harness_sees(written: Written) -> str:
    """Give the text in the form of GSM8K's own solutions."""
    if MARK in written.text or written.answer is None:
        return written.text
    return "\n".join([*written.steps, f"{MARK} {written.answer}"])


def judge_strict(written: Written, expected: str) -> AnswerVerdict:
    """Judge the first number that stands after ``#### ``."""
    found = STRICT.search(as_the_harness_sees(written))
    return _verdict(found[1] if found else None, expected, "gsm8k strict")


def judge_flexible(written: Written, expected: str) -> AnswerVerdict:
    """Judge the last number of the text, wherever it stands."""
    found = FLEXIBLE.findall(as_the_harness_sees(written))
    return _verdict("".join(found[-1]) if found else None, expected, "gsm8k flexible")


def _verdict(extracted: str | None, expected: str, rule: str) -> AnswerVerdict:
    if extracted is None:
        return AnswerVerdict(False, NOTHING)
    same = _stripped(extracted) == _stripped(expected)
    return AnswerVerdict(same, rule if same else DIFFERENT, extracted)


def _stripped(text: str) -> str:
    """Take away what the harness ignores, in its order."""
    text = text.replace(",", "").replace("$", "").rpartition(f"{MARK} ")[2]
    return re.sub(r"\.$", "", text).lower()
