"""Runs with long curves, marks and moments, as tests of charts need them."""

import datetime as dt
from pathlib import Path
from typing import Any

from django.utils import timezone

from runs.ingest import ingest_attempt
from runs.journal import JournalRecorder
from runs.metrics.rollups import refresh, touched_by
from runs.models import Attempt, Checkpoint, MetricPoint, Run
from runs.states import Status
from runs.tests.support import (
    checkpoint_info,
    evaluation_report,
    finish,
    fresh,
    journal,
    make_run,
    release_device,
    run_in,
    start,
)

STEPS = 3000
SPIKE, BROKEN = 1500, (1000 + 250, 1000 + 251)


def _store(run: Run, started: dt.datetime, values: dict[str, dict[int, float | None]]) -> None:
    """Store points, a second apart from a minute after the start."""
    MetricPoint.objects.bulk_create(
        MetricPoint(
            run=run,
            name=name,
            step=step,
            attempt=1,
            value=value,
            non_finite="" if value is not None else "nan",
            at=started + dt.timedelta(seconds=59 + step),
        )
        for name, points in values.items()
        for step, value in points.items()
    )
    refresh(run.pk, touched_by((name, step) for name, points in values.items() for step in points))


def big_run(folder: Path) -> Run:
    """A completed training of 3000 steps, resumed at 2000, with a spike, values that are none, and marks."""
    run = make_run(name="big", config={"steps": STEPS})
    first = start(run)
    recorder = journal(first)
    for step in (1000, 2000):
        recorder.metrics(step, {"train/first": 1.0})
        recorder.checkpoint(checkpoint_info(folder, step))
    ingest_attempt(first)
    finish(first, Status.FAILED)
    second = start(fresh(run))
    recorder = journal(second)
    recorder.resumed(2000, "")
    recorder.metrics(STEPS, {"train/second": 1.0})
    recorder.evaluation(evaluation_report(STEPS, final=True))
    ingest_attempt(second)
    started = timezone.now() - dt.timedelta(hours=3)
    steps = range(1, STEPS + 1)
    loss: dict[int, float | None] = {step: 3.0 / step**0.2 + (step * 7919 % 100) / 500 for step in steps}
    loss[SPIKE] = 40.0
    loss.update(dict.fromkeys(BROKEN))
    few = range(300, STEPS + 1, 300)
    _store(
        run,
        started,
        {
            "train/loss": loss,
            "eval/loss": dict.fromkeys(few, 2.0),
            "eval/answer_accuracy": {step: step / STEPS for step in few},
            "train/tokens_per_second": {step: 40_000.0 + step for step in steps},
            "train/tokens_seen": {step: 1000.0 * step for step in steps},
            "train/epoch": {step: step / 1000 for step in steps},
        },
    )
    finish(second)
    run.attempts.filter(number=1).update(started_at=started)
    run.attempts.filter(number=2).update(started_at=started + dt.timedelta(seconds=2059))
    for row in Checkpoint.objects.filter(run=run):
        moment = started + dt.timedelta(seconds=59 + row.step)
        Checkpoint.objects.filter(pk=row.pk).update(created_at=moment)
    return fresh(run)


def live_run(*, steps: int, hours_ago: float = 1, alive: bool = True) -> tuple[Run, Attempt, JournalRecorder]:
    """A training at work that has done some steps, with the recorder that goes on."""
    run = run_in(Status.RUNNING, config={"steps": 1000})
    attempt: Any = Attempt.objects.select_related("run").get(run=run)
    started = timezone.now() - dt.timedelta(hours=hours_ago)
    _store(run, started, {"train/loss": {step: 1.0 / step for step in range(1, steps + 1)}})
    Attempt.objects.filter(pk=attempt.pk).update(started_at=started)
    if not alive:
        finish(attempt)
        release_device()
    return run, attempt, journal(attempt)
