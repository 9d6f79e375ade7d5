"""What the verdicts on many texts add up to."""

import hashlib
import json
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from training.grading.checks import CHECKS
from training.grading.draws import majority, pass_at_k
from training.grading.graders import DEFAULT, GRADERS, Grader
from training.grading.intervals import wilson_interval
from training.recorder import GradedSample


@dataclass(frozen=True, slots=True)
class Passed:
    """How many texts passed a check, how many failed it, and how many had nothing to check."""

    passed: int
    failed: int
    nothing: int

    @property
    def share(self) -> float | None:
        """The share that passed among those checked; None where none was."""
        checked = self.passed + self.failed
        return self.passed / checked if checked else None


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of one evaluation.

    ``n``, ``correct``, ``answer_accuracy``, ``interval`` and ``right_with_invalid_step`` are of the first
    text after each prompt; ``step_accuracy`` (valid among checked steps), ``first_wrong_steps`` (texts by the
    index of their first wrong step), ``format_rate``, ``checks`` and ``tokens`` are of all texts.
    ``majority_accuracy`` and ``pass_at`` are empty for one text a prompt.
    """

    n: int
    draws: int
    correct: int
    answer_accuracy: float
    interval: tuple[float, float]
    step_accuracy: float | None
    right_with_invalid_step: int
    first_wrong_steps: Mapping[int, int]
    format_rate: float | None
    checks: Mapping[str, Passed]
    pass_at: Mapping[str, float]
    majority_accuracy: float | None
    tokens: int
    results_hash: str


def summarise(
    samples: Sequence[GradedSample], *, grader: Grader | None = None, ks: Sequence[int] | None = None
) -> Figures:
    """Add up the verdicts on all texts, in any order of prompts and draws.

    ``grader`` says which answers are one vote; ``ks`` for which k there is a pass@k: 1, 2, 4, … and all
    draws, unless given.

    Raises:
        ValueError: when there is no sample, or a k is not from 1 to the number of texts a prompt.
    """
    if not samples:
        raise ValueError("there is no sample to add up")
    prompts = by_prompt(samples)
    first = [draws[0] for draws in prompts]
    correct, least = sum(sample.correct for sample in first), min(map(len, prompts))
    checks = {name: _passed(sample.checks.get(name) for sample in samples) for name in CHECKS}
    return Figures(
        n=len(first),
        draws=max(map(len, prompts)),
        correct=correct,
        answer_accuracy=correct / len(first),
        interval=wilson_interval(correct, len(first)),
        step_accuracy=step_accuracy(samples),
        right_with_invalid_step=sum(sample.correct and has_invalid_step(sample) for sample in first),
        first_wrong_steps=Counter(
            sample.first_wrong_step for sample in samples if sample.first_wrong_step is not None
        ),
        format_rate=checks["format"].share,
        checks=checks,
        pass_at={str(k): _pass_at(prompts, k) for k in (_usual_ks(least) if ks is None else ks)},
        majority_accuracy=_majority_accuracy(prompts, grader or GRADERS[DEFAULT]) if least > 1 else None,
        tokens=sum(sample.tokens for sample in samples),
        results_hash=results_hash(samples),
    )


def by_prompt(samples: Iterable[GradedSample]) -> list[list[GradedSample]]:
    """Put the texts after one prompt together, by their draw; prompts stay in the order they come in.

    A trace that is asked twice is two prompts.
    """
    seen: Counter[Hashable] = Counter()
    prompts: dict[Hashable, list[GradedSample]] = {}
    for sample in samples:
        times = seen[sample.trace_id, sample.prompt, sample.draw]
        seen[sample.trace_id, sample.prompt, sample.draw] += 1
        prompts.setdefault((sample.trace_id, sample.prompt, times), []).append(sample)
    return [sorted(draws, key=lambda sample: sample.draw) for draws in prompts.values()]


def step_accuracy(samples: Sequence[GradedSample]) -> float | None:
    """Give the share of valid steps among the checked ones, None where none was checked."""
    checked = [valid for sample in samples for valid in sample.steps_valid if valid is not None]
    return sum(checked) / len(checked) if checked else None


def has_invalid_step(sample: GradedSample) -> bool:
    """Tell whether a step of a text was judged not valid."""
    return False in sample.steps_valid


def majority_sample(draws: Sequence[GradedSample], grader: Grader) -> GradedSample | None:
    """Give the first text with the commonest answer; None where no text has an answer that counts."""
    votes = [
        None
        if sample.answer is None or not (sample.finished or grader.judges_unfinished)
        else grader.vote(sample.answer)
        for sample in draws
    ]
    place = majority(votes)
    return None if place is None else draws[place]


def results_hash(samples: Iterable[GradedSample]) -> str:
    """Hash all texts and verdicts, in order (SHA-256, hex): equal for equal results."""
    digest = hashlib.sha256()
    for sample in samples:
        facts = (
            sample.trace_id,
            sample.draw,
            sample.generated_text,
            sample.finished,
            sample.answer,
            sample.correct,
            sample.rule,
            sample.steps_valid,
            sorted(sample.checks.items()),
        )
        digest.update(json.dumps(facts).encode() + b"\n")
    return digest.hexdigest()


def _passed(verdicts: Iterable[bool | None]) -> Passed:
    counts = Counter(verdicts)
    return Passed(counts[True], counts[False], counts[None])


def _usual_ks(draws: int) -> list[int]:
    """Give the powers of two up to the number of draws, and that number; none for a single draw."""
    return sorted({draws, *(1 << power for power in range(draws.bit_length()))}) if draws > 1 else []


def _pass_at(prompts: Sequence[Sequence[GradedSample]], k: int) -> float:
    shares = [pass_at_k(len(draws), sum(sample.correct for sample in draws), k) for draws in prompts]
    return sum(shares) / len(shares)


def _majority_accuracy(prompts: Sequence[Sequence[GradedSample]], grader: Grader) -> float:
    chosen = [majority_sample(draws, grader) for draws in prompts]
    return sum(sample is not None and sample.correct for sample in chosen) / len(chosen)
