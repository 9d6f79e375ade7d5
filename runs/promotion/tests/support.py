"""Completed trainings with sealed checkpoints and graded evaluations."""

from pathlib import Path
from typing import Any

from runs.ingest import ingest_attempt
from runs.leaderboard.tests.support import store
from runs.models import Checkpoint, Evaluation, Run
from runs.tests.support import finish, fresh, journal, make_dataset, make_run, release_device, start
from runs.tests.test_checkpointing import write
from training.recorder import CheckpointInfo


def trained(*steps: int, **facts: Any) -> Run:
    """A completed training with checkpoints of these steps on the disk."""
    attempt = start(make_run(**{"dataset": make_dataset(), **facts}))
    for step in steps or (5, 10):
        path = write(Path(attempt.run.checkpoint_dir), step, attempt=1)
        journal(attempt).checkpoint(CheckpointInfo(step, str(path), 700, {"step": step}))
    ingest_attempt(attempt)
    finish(attempt)
    release_device()
    return fresh(attempt.run)


def at(run: Run, step: int) -> Checkpoint:
    return Checkpoint.objects.select_related("run__dataset").get(run=run, step=step)


def grade(run: Run, step: int, correct: int, n: int = 100, **facts: Any) -> Evaluation:
    return store(run, correct, n, step=step, **facts)
