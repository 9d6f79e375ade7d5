r"""Answers in a LaTeX box: ``\boxed{…}`` or ``\fbox{…}``, with braces inside."""

import re
from typing import Final

from training.grading.answers import DIFFERENT, compare_answers, no_answer
from training.grading.verdicts import AnswerVerdict, Written

_BRACES: Final = re.compile(r"\\(?:boxed|fbox)\s{0,9}\{|\\[{}]|[{}]")
NO_BOX: Final = "no box"


def last_boxed(text: str) -> str | None:
    """Give what stands in the last box whose braces are balanced, None where there is none.

    Of boxes within one another the innermost is the last.
    """
    open_at: list[tuple[bool, int]] = []
    best: tuple[int, int] | None = None
    for found in _BRACES.finditer(text):
        token = found[0]
        if token == "}":  # noqa: S105 - a brace, not a secret
            if open_at:
                is_box, start = open_at.pop()
                if is_box and (best is None or start > best[0]):
                    best = (start, found.start())
        elif token in {r"\{", r"\}"}:
            continue
        else:
            open_at.append((len(token) > 1, found.end()))
    return None if best is None else text[best[0] : best[1]].strip()


def judge_boxed(written: Written, expected: str) -> AnswerVerdict:
    """Judge what stands in the last box of the answer, else of the whole text."""
    if written.answer is not None and written.answer == expected:
        return AnswerVerdict(True, "exact")
    inner = last_boxed(written.answer) if written.answer is not None else None
    if inner is None:
        inner = last_boxed(written.text)
    if inner is None:
        return no_answer(written) if written.answer is None else AnswerVerdict(False, NO_BOX)
    box = last_boxed(expected)
    verdict = compare_answers(inner, expected if box is None else box)
    return AnswerVerdict(verdict.correct, f"boxed {verdict.rule}" if verdict.correct else DIFFERENT, inner)
