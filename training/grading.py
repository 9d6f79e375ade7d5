"""Verdicts on generated text: is the answer right, is each step valid, how sure is the share.

Imports no JAX. Only what the model wrote is graded; the expected trace serves as the measure.
"""

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final

from training.errors import TrainingError
from training.examples import StepChecker, TraceExample
from training.recorder import GradedSample
from training.rendering import parse_completion

_NUMBER: Final = re.compile(r"[-+]?(\d{1,3}(,\d{3})+|\d+)?(\.\d+)?")
_Z_95: Final = 1.959963984540054


@dataclass(frozen=True, slots=True)
class AnswerVerdict:
    """Whether an answer counts as right, and the rule that decided it."""

    correct: bool
    rule: str


def compare_answers(given: str, expected: str) -> AnswerVerdict:
    """Compare two answers: to the letter (``exact``), as normalised text (``text``), as numbers (``number``).

    Normalised text ignores case, Unicode compatibility forms, surrounding and repeated
    white space and one final full stop. Numbers may have a sign, a leading ``$`` and
    thousands commas; they are compared exactly, as decimals.
    """
    if given == expected:
        return AnswerVerdict(True, "exact")
    left, right = normalise(given), normalise(expected)
    if left == right:
        return AnswerVerdict(True, "text")
    first, second = _number(left), _number(right)
    if first is not None and second is not None and first == second:
        return AnswerVerdict(True, "number")
    return AnswerVerdict(False, "different")


def normalise(answer: str) -> str:
    """Bring an answer into the form that is compared."""
    text = " ".join(unicodedata.normalize("NFKC", answer).casefold().split())
    return text.removesuffix(".").rstrip()


def wilson_interval(correct: int, n: int) -> tuple[float, float]:
    """Give the 95 % interval of a share, by Wilson's score (E. B. Wilson, 1927).

    Raises:
        ValueError: unless ``0 <= correct <= n``.
    """
    if not 0 <= correct <= n:
        raise ValueError(f"{correct} of {n} is no share")
    if n == 0:
        return 0.0, 1.0
    share, z2 = correct / n, _Z_95**2
    centre = share + z2 / (2 * n)
    spread = _Z_95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    scale = 1 + z2 / n
    low = 0.0 if correct == 0 else max(0.0, (centre - spread) / scale)
    high = 1.0 if correct == n else min(1.0, (centre + spread) / scale)
    return low, high


def grade(
    example: TraceExample, text: str, *, finished: bool, checkers: Mapping[str, StepChecker]
) -> GradedSample:
    """Grade one generated text against its example.

    ``finished`` tells whether the model ended the text itself; an answer that the length
    limit cut off may not be what it meant and does not count.

    Raises:
        TrainingError: when a checker gives not exactly one verdict a step.
    """
    parsed = parse_completion(text)
    if parsed.answer is None:
        verdict = AnswerVerdict(False, parsed.problem)
    elif not finished:
        verdict = AnswerVerdict(False, "unfinished")
    else:
        verdict = compare_answers(parsed.answer, example.final_answer)
    return GradedSample(
        trace_id=example.trace_id,
        prompt=example.prompt,
        expected_steps=example.steps,
        expected_answer=example.final_answer,
        generated_text=text,
        generated_steps=parsed.steps,
        steps_valid=judge_steps(example, parsed.steps, checkers),
        answer=parsed.answer,
        correct=verdict.correct,
        rule=verdict.rule,
    )


def judge_steps(
    example: TraceExample, steps: Sequence[str], checkers: Mapping[str, StepChecker]
) -> tuple[bool | None, ...]:
    """Ask the checker of the example's family about each step; None where nobody knows.

    Raises:
        TrainingError: when a checker gives not exactly one verdict a step.
    """
    checker = checkers.get(example.family)
    if checker is None or not steps:
        return (None,) * len(steps)
    verdicts = tuple(checker(example.prompt, steps))
    if len(verdicts) != len(steps):
        raise TrainingError(
            f"The step checker of family {example.family!r} gave {len(verdicts)} verdicts "
            f"on {len(steps)} steps; it must give one a step."
        )
    return verdicts


def step_accuracy(samples: Sequence[GradedSample]) -> float | None:
    """Give the share of valid steps among the checked ones, None where none was checked."""
    checked = [valid for sample in samples for valid in sample.steps_valid if valid is not None]
    return sum(checked) / len(checked) if checked else None


def _number(text: str) -> Decimal | None:
    bare = text.replace("$", "", 1) if text.lstrip("+-").startswith("$") else text
    if not _NUMBER.fullmatch(bare):
        return None
    try:
        return Decimal(bare.replace(",", ""))
    except InvalidOperation:
        return None
