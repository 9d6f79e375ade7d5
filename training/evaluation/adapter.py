"""Grading as an evaluation needs it: each text with its draw, and the figures over all of them."""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import batched
from typing import Final

from training.errors import ConfigError
from training.examples import StepChecker, TraceExample
from training.grading import grade, normalise, step_accuracy, wilson_interval
from training.recorder import GradedSample
from training.rendering import parse_completion

DEFAULT: Final = "auto"


@dataclass(frozen=True, slots=True)
class Grader:
    name: str
    version: int


@dataclass(frozen=True, slots=True)
class Figures:
    n: int
    correct: int
    accuracy: float
    interval: tuple[float, float]
    step_accuracy: float | None
    format_rate: float
    right_with_invalid_step: int
    pass_at: dict[str, float]
    majority_accuracy: float | None
    results_hash: str


def find_grader(name: str) -> Grader:
    if name != DEFAULT:
        raise ConfigError(f"There is no grader {name!r}; there are: {DEFAULT}.")
    return Grader(DEFAULT, 1)


def grade_draw(
    example: TraceExample,
    text: str,
    *,
    finished: bool,
    checkers: Mapping[str, StepChecker],
    grader: Grader,
    draw: int,
    tokens: int,
) -> GradedSample:
    found = grade(example, text, finished=finished, checkers=checkers)
    wrong = next((i for i, valid in enumerate(found.steps_valid) if valid is False), None)
    checks = {"format": parse_completion(text).answer is not None and finished}
    return replace(
        found, draw=draw, tokens=tokens, finished=finished, first_wrong_step=wrong, checks=checks
    )


def pass_at_k(n: int, c: int, k: int) -> float:
    return 1.0 - math.comb(n - c, k) / math.comb(n, k)


def with_majority(samples: Sequence[GradedSample], draws: int) -> tuple[GradedSample, ...]:
    """Say on the first text of each prompt whether the commonest answer of its texts is right."""
    if draws == 1:
        return tuple(samples)
    marked: list[GradedSample] = []
    for group in batched(samples, draws, strict=True):
        marked += [replace(group[0], majority_correct=_majority(group)), *group[1:]]
    return tuple(marked)


def _majority(group: Sequence[GradedSample]) -> bool:
    votes = Counter(normalise(one.answer) for one in group if one.answer is not None and one.finished)
    if not votes:
        return False
    winner = votes.most_common(1)[0][0]
    return any(one.correct for one in group if one.answer is not None and normalise(one.answer) == winner)


def summarise(samples: Sequence[GradedSample], draws: int) -> Figures:
    firsts = [one for one in samples if one.draw == 0]
    n, correct = len(firsts), sum(one.correct for one in firsts)
    right = [sum(one.correct for one in group) for group in batched(samples, draws, strict=True)]
    ks = sorted({k for k in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, draws) if k <= draws})
    return Figures(
        n=n,
        correct=correct,
        accuracy=correct / n,
        interval=wilson_interval(correct, n),
        step_accuracy=step_accuracy(samples),
        format_rate=sum(bool(one.checks.get("format")) for one in samples) / len(samples),
        right_with_invalid_step=sum(one.correct and False in one.steps_valid for one in samples),
        pass_at={str(k): sum(pass_at_k(draws, c, k) for c in right) / n for k in ks} if draws > 1 else {},
        majority_accuracy=sum(bool(one.majority_correct) for one in firsts) / n if draws > 1 else None,
        results_hash=results_hash(samples),
    )


def results_hash(samples: Sequence[GradedSample]) -> str:
    digest = hashlib.sha256()
    for one in samples:
        digest.update(json.dumps(asdict(one), sort_keys=True).encode() + b"\n")
    return digest.hexdigest()
