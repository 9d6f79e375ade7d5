"""Trainings with a checkpoint on the disk, and evaluations of them as grading runs tell them."""

import hashlib
from pathlib import Path
from typing import Any

from django.utils import timezone

from runs import services
from runs.evaluations.asking import Wanted, make_evaluation
from runs.ingest import ingest_attempt
from runs.models import Alias, Checkpoint, Evaluation, Run
from runs.states import Status
from runs.tests.control_support import checkpoint_row
from runs.tests.samples_support import graded
from runs.tests.support import (
    claim,
    evaluation_report,
    finish,
    fresh,
    journal,
    make_dataset,
    release_device,
    run_in,
)
from training.decoding import Decoding

GREEDY = Decoding(max_new_tokens=24).model_dump()


def trained(step: int = 10, **changes: Any) -> Run:
    """A completed training with a checkpoint on the disk."""
    run = run_in(Status.COMPLETED, **{"dataset": make_dataset(), **changes})
    row = checkpoint_row(run, Path(run.checkpoint_dir), step)
    Run.objects.filter(pk=run.pk).update(checkpoint_bytes=row.size_bytes)
    release_device()
    return fresh(run)


def named(checkpoint: Checkpoint, name: str, scope: str = "golden-v2") -> Alias:
    """Point a name at a checkpoint."""
    return Alias.objects.create(
        scope=scope, name=name, checkpoint=checkpoint, version=1, why="a test", moved_at=timezone.now()
    )


def drawn(prompt: str, answers: list[str], majority: bool) -> list[Any]:
    """Several texts after one prompt, whose right answer is 0."""
    return [
        graded(prompt, answer, draw=draw, tokens=5, majority_correct=majority if draw == 0 else None)
        for draw, answer in enumerate(answers)
    ]


def evaluated(run: Run, samples: list[Any], **changes: Any) -> Evaluation:
    """Grade the checkpoint of a run by a run of its own, as its child tells it."""
    wanted = changes.pop("wanted", Wanted(limit=len(samples)))
    made = make_evaluation(run, wanted)
    services.enqueue_run(made, deliver=False)
    attempt = claim(made)
    assert attempt is not None
    first = [one for one in samples if one.draw == 0]
    right = sum(one.correct for one in first)
    facts = {
        "n": len(first),
        "correct": right,
        "answer_accuracy": right / len(first),
        "interval": (0.1, 0.9),
        "grader": "auto",
        "grader_version": 1,
        "decoding": GREEDY,
        "limit": len(samples),
        "draws": max(one.draw for one in samples) + 1,
        "format_rate": 1.0,
        "generation_seconds": 1.0,
        "results_hash": hashlib.sha256(repr(samples).encode()).hexdigest(),
        "final": True,
        **changes,
    }
    journal(attempt).evaluation(evaluation_report(made.params["step"], samples=tuple(samples), **facts))
    ingest_attempt(attempt)
    finish(attempt)
    release_device()
    return Evaluation.objects.latest("pk")
