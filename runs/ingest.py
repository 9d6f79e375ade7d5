"""Feed the database from an attempt's journal, in batches, each exactly once.

The offset up to which the journal is stored is kept in the attempt's row and moves in the
same transaction as what was read, so a crash in between repeats nothing and loses nothing.
Every transaction first makes sure that the attempt is still the run's current one.
"""

import datetime as dt
import json
import logging
import time
from pathlib import Path
from typing import Any

from django.db import DataError, transaction

from runs.benchmarks import store_benchmark
from runs.journal import JOURNAL_NAME, read_events
from runs.models import Attempt, Checkpoint, Evaluation, MetricPoint, Run, Sample
from runs.states import Kind, Status

log = logging.getLogger(__name__)

POINTS_A_BATCH = 2000
INGEST_FIELDS = ("journal_offset", "start_step", "end_step", "reason", "inexact", "last_word")
# What a line raises that is JSON but not what the child wrote, or that no column can hold.
UNSTORABLE = (DataError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError)


class FencedOutError(Exception):
    """The attempt is no longer the run's current one; its writer must stop."""


def ingest_attempt(attempt: Attempt) -> int:
    """Store everything that the attempt's journal holds and the database does not.

    Returns:
        The number of events stored.

    Raises:
        FencedOutError: when a later attempt has taken over.
    """
    path = attempt.run.attempt_directory(attempt.number) / JOURNAL_NAME
    stored = 0
    while batch := list(read_events(path, attempt.journal_offset)):
        try:
            _store_batch(attempt, batch)
        except UNSTORABLE:
            # One event that no table takes must not hold up all behind it.
            for event, end in batch:
                _store_or_report(attempt, event, end)
        stored += len(batch)
    return stored


def _store_or_report(attempt: Attempt, event: dict[str, Any], end: int) -> None:
    try:
        _store_batch(attempt, [(event, end)])
    except UNSTORABLE as error:
        log.warning("%s: the journal line before byte %d cannot be stored: %r", attempt, end, error)
        _store_batch(attempt, [({"k": "damaged", "t": time.time(), "end": end}, end)])


def _store_batch(attempt: Attempt, batch: list[tuple[dict[str, Any], int]]) -> None:
    """Store events and move the offset, together or not at all, in the row and in ``attempt``."""
    before = {name: getattr(attempt, name) for name in INGEST_FIELDS}
    try:
        with transaction.atomic():
            fence(attempt)
            _store(attempt, [event for event, _ in batch])
            attempt.journal_offset = batch[-1][1]
            attempt.save(update_fields=INGEST_FIELDS)
    except BaseException:
        for name, value in before.items():
            setattr(attempt, name, value)
        raise


def fence(attempt: Attempt) -> None:
    """Make sure, inside the caller's transaction, that the attempt is still current."""
    current = Run.objects.filter(pk=attempt.run_id, attempt=attempt.number)
    # An UPDATE, not a SELECT: it takes the row's lock on PostgreSQL, so that a new attempt waits.
    if not current.update(attempt=attempt.number):
        raise FencedOutError(f"{attempt} was superseded by a later attempt")


def _store(attempt: Attempt, events: list[dict[str, Any]]) -> None:
    points: list[MetricPoint] = []
    changes: dict[str, Any] = {}
    for event in events:
        at = dt.datetime.fromtimestamp(event["t"], dt.UTC)
        match event["k"]:
            case "metrics":
                points += _points(attempt, event, at)
                changes["step"] = event["s"]
                attempt.end_step = event["s"]
            case "phase":
                changes["phase"] = event["name"]
            case "resumed":
                attempt.start_step = event["s"]
                attempt.inexact = event.get("inexact", "")
                changes["step"] = event["s"]
                _supersede(attempt, event["s"])
            case "checkpoint":
                _store_checkpoint(attempt, event, at)
                points += _saving_times(attempt, event, at)
            case "gone":
                Checkpoint.objects.filter(run_id=attempt.run_id, path=event["path"], removed_at=None).update(
                    removed_at=at, removed_why=event["why"][:200]
                )
            case "evaluation":
                _store_evaluation(attempt, event, at)
            case "provenance":
                Run.objects.filter(pk=attempt.run_id).update(provenance=event["facts"])
                _write_provenance(attempt.run.directory, event["facts"])
            case "end":
                status = Status(event["status"])
                attempt.last_word = event
                changes.update(_outcome(event))
                if attempt.run.kind == Kind.BENCH and status is Status.COMPLETED:
                    store_benchmark(attempt.run, event["result"], at)
            case "damaged":
                attempt.reason = f"a journal line before byte {event['end']} could not be read"
    MetricPoint.objects.bulk_create(points, batch_size=POINTS_A_BATCH, ignore_conflicts=True)
    if changes:
        Run.objects.filter(pk=attempt.run_id).update(**changes)


def _points(attempt: Attempt, event: dict[str, Any], at: dt.datetime) -> list[MetricPoint]:
    return [
        MetricPoint(
            run_id=attempt.run_id,
            name=name,
            step=event["s"],
            attempt=attempt.number,
            value=None if isinstance(value, str) else value,
            non_finite=value if isinstance(value, str) else "",
            at=at,
        )
        for name, value in event["v"].items()
    ]


def _supersede(attempt: Attempt, step: int) -> None:
    """Mark what earlier attempts recorded after the step from which this one goes on."""
    for model in (MetricPoint, Checkpoint):
        model.objects.filter(run_id=attempt.run_id, attempt__lt=attempt.number, step__gt=step).update(
            superseded=True
        )
    Evaluation.objects.filter(made_by_id=attempt.run_id, attempt__lt=attempt.number, step__gt=step).update(
        superseded=True
    )


def _supersede_evaluation(attempt: Attempt, event: dict[str, Any]) -> None:
    """Mark an evaluation that an earlier attempt had begun to record at the same step."""
    earlier = {"attempt__lt": attempt.number, "step": event["step"]}
    Evaluation.objects.filter(made_by_id=attempt.run_id, split=event["split"], **earlier).update(
        superseded=True
    )
    MetricPoint.objects.filter(run_id=attempt.run_id, name__startswith="eval/", **earlier).update(
        superseded=True
    )


def _store_checkpoint(attempt: Attempt, event: dict[str, Any], at: dt.datetime) -> None:
    Checkpoint.objects.update_or_create(
        run_id=attempt.run_id,
        step=event["step"],
        attempt=attempt.number,
        defaults={
            "path": event["path"],
            "size_bytes": event["size_bytes"],
            "metadata": event["metadata"],
            "created_at": at,
        },
    )


def _saving_times(attempt: Attempt, event: dict[str, Any], at: dt.datetime) -> list[MetricPoint]:
    times = {
        "system/checkpoint_stall": event.get("stall_seconds"),
        "system/checkpoint_time": event.get("write_seconds"),
    }
    values = {name: value for name, value in times.items() if value}
    return _points(attempt, {"s": event["step"], "v": values}, at)


def _store_evaluation(attempt: Attempt, event: dict[str, Any], at: dt.datetime) -> None:
    run = attempt.run
    # An evaluation run grades its parent's model; a training run its own.
    about = run.parent_id if run.kind == Kind.EVALUATE and run.parent_id else run.pk
    evaluation, created = Evaluation.objects.get_or_create(
        made_by_id=run.pk,
        attempt=attempt.number,
        step=event["step"],
        split=event["split"],
        final=event["final"],
        defaults={
            "run_id": about,
            "dataset_id": run.dataset_id,
            "n": event["n"],
            "correct": event["correct"],
            "loss": finite_or_none(event["loss"]),
            "answer_accuracy": event["answer_accuracy"],
            "interval_low": event["interval"][0],
            "interval_high": event["interval"][1],
            "step_accuracy": event["step_accuracy"],
            "seconds": event["seconds"],
            "generated_tokens": event["generated_tokens"],
            "created_at": at,
        },
    )
    if not created:
        return
    _supersede_evaluation(attempt, event)
    Sample.objects.bulk_create(
        [
            Sample(
                evaluation=evaluation,
                position=position,
                trace_hash=sample["trace_id"],
                **{
                    name: sample[name]
                    for name in (
                        "prompt",
                        "expected_steps",
                        "expected_answer",
                        "generated_text",
                        "generated_steps",
                        "steps_valid",
                        "answer",
                        "correct",
                        "rule",
                    )
                },
            )
            for position, sample in enumerate(event["samples"])
        ],
        batch_size=500,
    )


def _outcome(event: dict[str, Any]) -> dict[str, Any]:
    """Give the columns of a run that the child's last word fills."""
    changes: dict[str, Any] = {"phase": "finished"}
    if event.get("step") is not None:
        changes["step"] = event["step"]
    if event.get("final_loss") is not None:
        changes["final_loss"] = finite_or_none(event["final_loss"])
    if event.get("params_hash"):
        changes["params_hash"] = event["params_hash"]
    if event.get("result"):
        changes["result"] = event["result"]
    return changes


def finite_or_none(value: float | str | None) -> float | None:
    """Give a journal number as the database keeps it: text (not finite) becomes NULL."""
    return None if isinstance(value, str) else value


def _write_provenance(directory: Path, facts: dict[str, Any]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    fresh = directory / ".provenance.json"
    fresh.write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", "utf-8")
    fresh.replace(directory / "provenance.json")
