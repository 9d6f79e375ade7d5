"""Feed the database from an attempt's journal, in batches, each exactly once.

The offset up to which the journal is stored is kept in the attempt's row and moves in the
same transaction as what was read, so a crash in between repeats nothing and loses nothing.
Every transaction first makes sure that the attempt is still the run's current one.
"""

import datetime as dt
import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.db import DataError, IntegrityError, transaction

from runs.benchmarks import store_benchmark
from runs.ingest_results import (
    finite_or_none,
    mark_overtaken,
    note_checkpoint,
    store_evaluation,
    supersede,
    supersede_at,
)
from runs.journal import JOURNAL_NAME, read_events, torn_tail
from runs.journal_lines import in_words
from runs.listing import summaries
from runs.metrics.points import Point, insert_points, points_of
from runs.models import Attempt, Checkpoint, Run
from runs.states import Kind, Status

log = logging.getLogger(__name__)

# Enough that a transaction costs little beside its points, and so few that it locks nobody out for long.
POINTS_A_BATCH = 10_000
MAX_REASON = 1000
INGEST_FIELDS = ("journal_offset", "start_step", "end_step", "reason", "inexact", "last_word")
# What a line raises that is JSON but not what the child wrote, or that no column can hold.
UNSTORABLE = (
    DataError,
    IntegrityError,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    ArithmeticError,
)

type Batch = list[tuple[dict[str, Any], int]]


class FencedOutError(Exception):
    """The attempt is no longer the run's current one; its writer must stop."""


def ingest_attempt(attempt: Attempt, *, overtaken: bool = False) -> int:
    """Store everything that the attempt's journal holds and the database does not.

    ``overtaken``: a later attempt has the run by now; what this one recorded is stored beside it, and the
    run itself left as it is.

    Returns:
        The number of events stored.

    Raises:
        FencedOutError: when a later attempt has taken over, unless ``overtaken`` says so.
    """
    stored = 0
    while True:
        before = stored
        for batch in _batches(journal_path(attempt), attempt.journal_offset):
            _store_or_report(attempt, batch, overtaken=overtaken)
            stored += len(batch)
        if stored == before:
            break
    if overtaken:
        mark_overtaken(attempt)
        summaries.refresh_summary(attempt.run)
    return stored


def ingest_rest(attempt: Attempt, *, overtaken: bool = False) -> int:
    """Store what is left once the writer is gone, and note what a crash cut off at the end.

    Returns:
        The bytes at the end that form no whole line.

    Raises:
        FencedOutError: as `ingest_attempt`.
    """
    ingest_attempt(attempt, overtaken=overtaken)
    torn = torn_tail(journal_path(attempt), attempt.journal_offset)
    if torn:
        _note(attempt, f"the last {torn} bytes of its journal are no whole line and were dropped")
        attempt.save(update_fields=["reason"])
    return torn


def journal_path(attempt: Attempt) -> Path:
    """Give the file that the attempt's child writes."""
    return attempt.run.attempt_directory(attempt.number) / JOURNAL_NAME


def _batches(path: Path, offset: int) -> Iterator[Batch]:
    batch: Batch = []
    points = 0
    for event, end in read_events(path, offset):
        batch.append((event, end))
        # A line whose values are no object is found out when it is stored.
        points += len(event["v"]) if isinstance(event.get("v"), dict) else 1
        if points >= POINTS_A_BATCH:
            yield batch
            batch, points = [], 0
    if batch:
        yield batch


def _store_or_report(attempt: Attempt, batch: Batch, *, overtaken: bool) -> None:
    """Store a batch; an event that no table takes is reported and holds up none behind it."""
    try:
        _store_batch(attempt, batch, overtaken=overtaken)
    except UNSTORABLE as error:
        if len(batch) > 1:
            middle = len(batch) // 2
            _store_or_report(attempt, batch[:middle], overtaken=overtaken)
            _store_or_report(attempt, batch[middle:], overtaken=overtaken)
            return
        end = batch[0][1]
        log.warning("%s: the journal line before byte %d cannot be stored: %r", attempt, end, error)
        report = {"k": "damaged", "t": time.time(), "end": end, "what": "no table can hold it"}
        _store_batch(attempt, [(report, end)], overtaken=overtaken)


def _store_batch(attempt: Attempt, batch: Batch, *, overtaken: bool) -> None:
    """Store events and move the offset, together or not at all, in the row and in ``attempt``."""
    before = {name: getattr(attempt, name) for name in INGEST_FIELDS}
    try:
        with transaction.atomic():
            if not overtaken:
                fence(attempt)
            changes = _store(attempt, [event for event, _ in batch])
            if changes and not overtaken:
                _change_run(attempt, changes)
            summaries.note_stored(attempt, [event for event, _ in batch])
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


def _store(attempt: Attempt, events: list[dict[str, Any]]) -> dict[str, Any]:
    """Store events. Returns the columns of the run that they change."""
    points: list[Point] = []
    changes: dict[str, Any] = {}
    for event in events:
        at = dt.datetime.fromtimestamp(event["t"], dt.UTC)
        match event["k"]:
            case "metrics":
                points += points_of(step=event["s"], values=event["v"], at=at)
                # What is measured beside the work may name a step that is past already.
                if event.get("beside"):
                    supersede_at(attempt, event["s"], event["v"])
                else:
                    changes["step"] = event["s"]
                    attempt.end_step = event["s"]
            case "phase":
                changes |= _phase(attempt, event)
            case "resumed":
                attempt.start_step = event["s"]
                attempt.inexact = event.get("inexact", "")
                changes["step"] = event["s"]
                supersede(attempt, event["s"])
            case "checkpoint":
                _store_checkpoint(attempt, event, at)
                points += _saving_times(event, at)
            case "gone":
                Checkpoint.objects.filter(run_id=attempt.run_id, path=event["path"], removed_at=None).update(
                    removed_at=at, removed_why=event["why"][:200]
                )
            case "evaluation":
                store_evaluation(attempt, event, at)
            case "provenance":
                changes["provenance"] = event["facts"]
            case "end":
                Status(event["status"])
                attempt.last_word = event
                changes.update(_outcome(event))
            case "damaged" | "missing" | "lost":
                _note(attempt, in_words(event))
    insert_points(attempt=attempt, points=points)
    return changes


def _phase(attempt: Attempt, event: dict[str, Any]) -> dict[str, Any]:
    """Give the columns that a phase changes; only a run that grades counts what it has done by them."""
    steps = {"step": event["s"]} if attempt.run.kind == Kind.EVALUATE else {}
    return {"phase": event["name"], **steps}


def _change_run(attempt: Attempt, changes: dict[str, Any]) -> None:
    if "provenance" in changes:
        _write_provenance(attempt.run.directory, changes["provenance"])
    Run.objects.filter(pk=attempt.run_id).update(**changes)
    word = attempt.last_word
    completed = changes.get("phase") == "finished" and word.get("status") == Status.COMPLETED
    if completed and attempt.run.kind == Kind.BENCH:
        store_benchmark(attempt.run, word["result"], dt.datetime.fromtimestamp(word["t"], dt.UTC))


def _note(attempt: Attempt, text: str) -> None:
    """Add what is wrong with the journal to the attempt's reason, up to a length."""
    if text in attempt.reason or attempt.reason.endswith("; and more"):
        return
    whole = f"{attempt.reason}; {text}" if attempt.reason else text
    attempt.reason = whole if len(whole) <= MAX_REASON else f"{attempt.reason[:MAX_REASON]}; and more"


def _store_checkpoint(attempt: Attempt, event: dict[str, Any], at: dt.datetime) -> None:
    row, _ = Checkpoint.objects.update_or_create(
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
    note_checkpoint(row)


def _saving_times(event: dict[str, Any], at: dt.datetime) -> list[Point]:
    times = {
        "system/checkpoint_stall": event.get("stall_seconds"),
        "system/checkpoint_time": event.get("write_seconds"),
    }
    values = {name: value for name, value in times.items() if value}
    return points_of(step=event["step"], values=values, at=at)


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


def _write_provenance(directory: Path, facts: dict[str, Any]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    fresh = directory / ".provenance.json"
    fresh.write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", "utf-8")
    fresh.replace(directory / "provenance.json")
