"""Trainings with several evaluations of the same prompts, as their journals told them."""

import hashlib
from typing import Any

from runs.ingest import ingest_attempt
from runs.models import Attempt, Evaluation, Run
from runs.tests.support import (
    evaluation_report,
    finish,
    fresh,
    journal,
    make_dataset,
    make_run,
    release_device,
    sample,
    start,
)


def hash_of(prompt: str) -> str:
    return hashlib.sha256(prompt.encode()).hexdigest()


def graded(prompt: str, answer: str | None = "0", **changes: Any) -> Any:
    """A sample of ``prompt``, whose right answer is 0."""
    facts = {
        "trace_id": hash_of(prompt),
        "prompt": prompt,
        "answer": answer,
        "correct": answer == "0",
        "generated_text": f"7+3=0\n#{answer}",
        **changes,
    }
    return sample(**facts)


def record(attempt: Attempt, step: int, samples: list[Any], **changes: Any) -> Evaluation:
    """Store an evaluation at ``step`` with its samples, as a child's journal tells it."""
    right = sum(one.correct for one in samples)
    share = right / len(samples) if samples else 0.0
    facts = {"n": len(samples), "correct": right, "answer_accuracy": share, "interval": (0.1, 0.9), **changes}
    journal(attempt).evaluation(evaluation_report(step, samples=tuple(samples), **facts))
    ingest_attempt(attempt)
    return Evaluation.objects.latest("pk")


def training(*evaluations: list[Any], **changes: Any) -> Run:
    """A completed training with an evaluation every 10 steps."""
    attempt = start(make_run(**{"dataset": make_dataset(), **changes}))
    for number, samples in enumerate(evaluations, start=1):
        record(attempt, 10 * number, samples, final=number == len(evaluations))
    finish(attempt)
    release_device()
    return fresh(attempt.run)
