"""The rows of a run whose journal is imported: made where they are missing, ended as the journal says.

Each change of status is a guarded UPDATE that `runs.states` allows, with its audit line.
"""

import datetime as dt
import re
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from datasets_app.models import Dataset
from runs.journal import storable
from runs.journal_header import LOCAL_PARAMS, JournalHeader
from runs.listing.summaries import parameters_of, refresh_checkpoints
from runs.models import Attempt, Checkpoint, Run
from runs.processes import hostname
from runs.states import ENDED, Cause, Status, sources_of
from runs.verdicts import settle
from tunix_site.errors import ConflictError
from tunix_site.services import record_audit

_OPEN_END = re.compile(r"its journal ends at step \d+ without an end(; )?")
_CAUSES = {Status.COMPLETED: Cause.COMPLETED, Status.STOPPED: Cause.STOPPED}


def create_imported_run(header: JournalHeader, *, started_at: dt.datetime) -> Run:
    """Write the row of a run that was carried out elsewhere, lost until its journal tells its end.

    Raises:
        ConflictError: when a run with this uid has just come to be.
    """
    parent = Run.objects.filter(uid=header.parent_uid).first() if header.parent_uid else None
    dataset = _dataset(header)
    try:
        with transaction.atomic():
            run = Run.objects.create(
                uid=header.uid,
                kind=header.kind,
                name=storable(header.name),
                status=Status.LOST,
                phase="finished",
                attempt=header.attempt,
                reason="its journal was imported",
                dataset=dataset,
                config=header.config,
                parameters=parameters_of(header.config),
                params={name: value for name, value in header.params.items() if name not in LOCAL_PARAMS},
                parent=parent,
                parent_step=header.parent_step if parent else None,
                device_kind=header.device_kind,
                device_index=header.device_index,
                device_uuid=header.device_uuid,
                device_name=header.device_name,
                total_steps=header.total_steps,
                origin=_origin(header, parent=parent, dataset=dataset),
                started_at=started_at,
            )
            run.checkpoint_dir = _checkpoint_dir(run, header)
            run.save(update_fields=["checkpoint_dir"])
            _audit(run, "imported", uid=str(header.uid), host=header.host, attempt=header.attempt)
    except IntegrityError as error:
        raise ConflictError(f"A run with the uid {header.uid} has just been made; try again.") from error
    return run


def _dataset(header: JournalHeader) -> Dataset | None:
    if not header.content_hash:
        return None
    same = Dataset.objects.filter(content_hash=header.content_hash, status=Dataset.Status.PUBLISHED)
    return same.filter(key=header.dataset_key).first() or same.first()


def _origin(header: JournalHeader, *, parent: Run | None, dataset: Dataset | None) -> str:
    parts = [f"imported from a journal of {header.host or 'an unknown host'}"]
    if header.content_hash and dataset is None:
        parts.append(f"its dataset {header.dataset_key}@{header.content_hash[:12]} is not here")
    if header.parent_uid and parent is None:
        parts.append(f"its parent {header.parent_uid} is not here")
    return storable("; ".join(parts))


def _checkpoint_dir(run: Run, header: JournalHeader) -> str:
    """Give the run's folder of this machine; a path of another could be that of another run here."""
    taken = Run.objects.filter(checkpoint_dir=header.checkpoint_dir).exists()
    if header.checkpoint_dir and header.host == hostname() and not taken:
        return header.checkpoint_dir
    root = Path(settings.TUNIX_ARTIFACTS_DIR) / "checkpoints"
    return str(root.resolve() / str(run.pk))


def find_attempt(run: Run, *, number: int, header: JournalHeader | None, started_at: dt.datetime) -> Attempt:
    """Find the attempt of a run, or make its row, lost until its journal tells its end.

    One that is newer than the run knows of (an older copy of the database) becomes its current one.

    Raises:
        ConflictError: when no attempt can follow on the run's present state.
    """
    with transaction.atomic():
        if number > run.attempt:
            _go_on_to(run, number)
        attempt, created = Attempt.objects.get_or_create(
            run=run,
            number=number,
            defaults={
                "host": header.host if header else "",
                "device": header.device if header else "",
                "status": Status.LOST,
            },
        )
        if created:
            Attempt.objects.filter(pk=attempt.pk).update(started_at=started_at)
    attempt.run = run
    return attempt


def _go_on_to(run: Run, number: int) -> None:
    # The way that the run went where it was carried out: queued, started, and not heard of any more.
    for target in (Status.QUEUED, Status.STARTING, Status.LOST):
        here = Run.objects.filter(pk=run.pk, attempt__lte=number, status__in=sources_of(target))
        if not here.update(status=target, attempt=number, phase="finished", error=""):
            raise ConflictError(
                f"Run {run.pk} is {run.status} after attempt {run.attempt}; no attempt {number} can follow."
            )
    Run.objects.filter(pk=run.pk, status=Status.LOST).update(reason="its journal was imported")
    _audit(run, "lost", attempt=number, reason="its journal was imported")
    run.refresh_from_db()


def end_imported(attempt: Attempt, *, at: dt.datetime) -> bool:
    """End an attempt, and its run where that is lost, as the journal's last word says.

    ``at`` is the moment of the journal's last event.

    Returns:
        Whether anything was changed.
    """
    run = attempt.run
    word: dict[str, Any] = attempt.last_word
    status = Status(word["status"]) if word and word["status"] in ENDED else Status.LOST
    reason = storable(str(word.get("reason", "")))
    if status is Status.LOST:
        step = attempt.start_step if attempt.end_step is None else attempt.end_step
        reason = f"its journal ends at step {step} without an end"
    with transaction.atomic():
        changed = _end_attempt(attempt, status=status, reason=reason, at=at)
        lost = Run.objects.filter(pk=run.pk, attempt=attempt.number, status=Status.LOST)
        if status is not Status.LOST:
            if lost.update(status=status, phase="finished", reason=reason, finished_at=at):
                changed = True
                _audit(run, status, attempt=attempt.number, reason=reason, imported=True)
        elif changed:
            # Whoever else called it lost keeps the word.
            lost.filter(reason__startswith="its journal ").update(
                phase="finished", reason=reason, finished_at=at
            )
    run.refresh_from_db()
    if changed and run.is_ended and "reproduces" in run.params:
        settle(run)
    return changed


def _end_attempt(attempt: Attempt, *, status: Status, reason: str, at: dt.datetime) -> bool:
    earlier = _OPEN_END.match(attempt.reason)
    rows = Attempt.objects.filter(pk=attempt.pk)
    if attempt.finished_at is not None:
        if status is Status.LOST and earlier is None:
            return False
        rows = rows.filter(status=Status.LOST)
    # Behind the end comes what is wrong with the journal.
    notes = attempt.reason[earlier.end() :] if earlier else attempt.reason
    whole = "; ".join(text for text in (reason, notes) if text)
    if attempt.finished_at is not None and (attempt.status, attempt.reason) == (status, whole):
        return False
    changed = rows.update(
        status=status,
        reason=whole,
        cause=attempt.cause or _CAUSES.get(status, Cause.UNKNOWN),
        finished_at=at,
    )
    attempt.refresh_from_db(fields=["status", "reason", "cause", "finished_at"])
    return bool(changed)


def note_checkpoints_elsewhere(attempt: Attempt, *, host: str) -> None:
    """Mark checkpoints as not here whose folder is not the run's own here.

    A path that another machine wrote may be that of another run's checkpoint on this one.
    """
    own = Path(attempt.run.checkpoint_dir)
    here = Checkpoint.objects.filter(run_id=attempt.run_id, attempt=attempt.number, removed_at=None)
    for row in here:
        folder = Path(row.path)
        if folder.parent != own or folder.name != str(row.step):
            row.removed_at, row.removed_why = timezone.now(), f"on {host or 'another host'}, not here"[:200]
            row.save(update_fields=["removed_at", "removed_why"])
    refresh_checkpoints(attempt.run_id)


def _audit(run: Run, what: str, **detail: Any) -> None:
    record_audit(actor=None, action=f"run.{what}", target_type="run", target_id=run.pk, detail=detail)
