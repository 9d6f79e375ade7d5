"""Trainings with checkpoints that were never trained, for tests of exports."""

from pathlib import Path
from typing import Any

from django.utils import timezone

from runs.models import Checkpoint, Evaluation, Run
from runs.states import Status
from runs.tests.support import make_dataset, release_device, run_in


def trained_run(**changes: Any) -> Run:
    """A completed training of 10 steps on a dataset."""
    run = run_in(Status.COMPLETED, dataset=make_dataset(), **changes)
    release_device()
    return run


def add_checkpoint(run: Run, path: Path, step: int = 10, **metadata: Any) -> Checkpoint:
    path.mkdir(parents=True, exist_ok=True)
    return Checkpoint.objects.create(
        run=run,
        step=step,
        attempt=1,
        path=str(path),
        size_bytes=2048,
        metadata={"step": step, **metadata},
        created_at=timezone.now(),
    )


def add_evaluation(run: Run, step: int, **changes: Any) -> Evaluation:
    facts: dict[str, Any] = {
        "dataset": run.dataset,
        "split": "test",
        "n": 12,
        "correct": 9,
        "answer_accuracy": 0.75,
        "interval_low": 0.468,
        "interval_high": 0.911,
        "seconds": 1.5,
        "generated_tokens": 300,
        "grader": "exact",
        "grader_version": 2,
        "decoding": {"temperature": 0.0, "max_new_tokens": 48},
        **changes,
    }
    now = timezone.now()
    return Evaluation.objects.create(run=run, made_by=run, attempt=1, step=step, created_at=now, **facts)
