"""The way of an import: read, write unseen, publish at once; or leave everything as it was."""

import hashlib
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from datasets_app import bulk
from datasets_app.imports.errors import CancelledError, RefusedLinesError, UnfitFileError
from datasets_app.imports.limits import Limits
from datasets_app.imports.reader import FileReader, Preview
from datasets_app.imports.rejects import Refusal, Rejects, folder_of
from datasets_app.imports.request import ImportRequest
from datasets_app.models import Dataset, Import
from datasets_app.publishing import Draft, Member, Unpublished, discard, newest_of_key, sweep_abandoned
from datasets_app.selectors import split_overlap
from datasets_app.services import finish
from datasets_app.traces import SPLIT_RULE
from tunix_site.errors import UserError
from tunix_site.services import record_audit

FIRST_BATCH, LARGEST_BATCH, SMALLEST_BATCH = 2000, 5000, 200
QUICK, SLOW = 0.15, 0.3
TOLD_EVERY = 0.5


@dataclass(slots=True)
class Outcome:
    """What came of an import. ``existing`` traces were in the dataset already, on the same side."""

    dataset: Dataset | None
    created: bool = False
    imported: int = 0
    existing: int = 0
    refused: int = 0
    seconds: float = 0.0
    overlap: int = 0
    rejects: Path | None = None
    first_refused: list[Refusal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def as_json(self, key: str) -> dict[str, Any]:
        """Give it as commands print it."""
        return {
            "key": key,
            "content_hash": self.dataset.content_hash if self.dataset else None,
            "imported": self.imported,
            "refused": self.refused,
            "seconds": round(self.seconds, 3),
            "existing": self.existing,
            "created": self.created,
            "trace_count": self.dataset.trace_count if self.dataset else None,
            "rejects": str(self.rejects) if self.rejects else None,
            "overlap": self.overlap,
        }


@dataclass(slots=True)
class Watch:
    """Who looks on: each is called when there is something to tell."""

    previewed: Callable[[Preview], None] = lambda _preview: None
    progressed: Callable[[int, Outcome], None] = lambda _bytes, _outcome: None
    counted: Callable[[Outcome], None] = lambda _outcome: None


def open_import(*, request: ImportRequest, name: str, size: int, actor: User | None = None) -> Import:
    """Write an import down; it waits until `carry_out` takes it."""
    return Import.objects.create(
        key=request.key,
        request=request.model_dump(mode="json"),
        file_name=name[:255],
        file_bytes=size,
        requested_by=actor,
    )


def carry_out(*, row: Import, path: Path, watch: Watch | None = None) -> Outcome:
    """Carry an import out to its end, and write down how it ended.

    Raises:
        RefusedLinesError: if lines were refused and it was not to keep going; nothing was changed.
        UserError: why else it could not be done; nothing was changed.
    """
    sweep_imports()
    sweep_abandoned()
    rows = Import.objects.filter(pk=row.pk)
    rows.update(
        status=Import.Status.RUNNING,
        heartbeat_at=timezone.now(),
        host=socket.gethostname()[:100],
        process=os.getpid(),
    )
    work = _Work(row, path, watch or Watch())
    try:
        outcome = work.run()
    except BaseException as error:
        cancelled = isinstance(error, CancelledError | KeyboardInterrupt)
        said = (
            str(error) if isinstance(error, UserError) else "Something went wrong; the log has the details."
        )
        rows.update(
            status=Import.Status.CANCELLED if cancelled else Import.Status.FAILED,
            error="Cancelled. Nothing was changed." if cancelled else said,
            refused=work.outcome.refused,
            format=work.format_name,
            unpublished=None,
            finished_at=timezone.now(),
        )
        raise
    rows.update(
        status=Import.Status.COMPLETED,
        dataset=outcome.dataset,
        unpublished=None,
        format=work.format_name,
        imported=outcome.imported,
        existing=outcome.existing,
        refused=outcome.refused,
        notes=outcome.notes,
        bytes_done=row.file_bytes,
        finished_at=timezone.now(),
    )
    if outcome.created and outcome.dataset is not None:
        record_audit(
            actor=row.requested_by,
            action="dataset.import",
            target_type="dataset",
            target_id=outcome.dataset.pk,
            detail={"address": outcome.dataset.address, "file": row.file_name, "imported": outcome.imported},
        )
    return outcome


def rehearse(*, request: ImportRequest, path: Path, name: str, watch: Watch | None = None) -> Outcome:
    """Read a file to its end and count, changing nothing."""
    look = watch or Watch()
    reader = FileReader(path, name=name, request=request, limits=Limits.of_settings())
    started, outcome, rejects = time.monotonic(), Outcome(None), Rejects(None)
    for one in reader.outcomes():
        if isinstance(one, Preview):
            look.previewed(one)
        elif isinstance(one, Refusal):
            rejects.add(one)
        else:
            outcome.imported += 1
        if reader.rows % 5000 == 0:
            look.progressed(reader.bytes_read, outcome)
    outcome.refused, outcome.first_refused = rejects.count, rejects.first
    outcome.seconds = time.monotonic() - started
    return outcome


class _Work:
    """One import under way."""

    def __init__(self, row: Import, path: Path, watch: Watch) -> None:
        self.row = row
        self.request = ImportRequest.model_validate(row.request)
        self.watch = watch
        self.outcome = Outcome(None)
        self.reader = FileReader(path, name=row.file_name, request=self.request, limits=Limits.of_settings())
        self.base = newest_of_key(self.request.key)
        self.unpublished: Unpublished | None = None
        self.batch: list[Member] = []
        self.batch_size = FIRST_BATCH
        self.told_at = 0.0
        self.spoilt = False

    @property
    def format_name(self) -> str:
        return self.reader.format.NAME if self.reader.format else ""

    def run(self) -> Outcome:
        started = time.monotonic()
        outcome = self.outcome
        try:
            with bulk.tuned(), Rejects(folder_of(self.row.pk)) as rejects:
                self._read(rejects)
                outcome.refused, outcome.first_refused = rejects.count, rejects.first
                outcome.rejects, outcome.notes = rejects.path, list(self.reader.notes)
            self._settle()
        except BaseException:
            if self.unpublished is not None:
                discard(self.unpublished.dataset)
            raise
        outcome.seconds = time.monotonic() - started
        return outcome

    def _read(self, rejects: Rejects) -> None:
        for one in self.reader.outcomes():
            if isinstance(one, Member):
                if not self.spoilt:
                    self.batch.append(one)
                    if len(self.batch) >= self.batch_size:
                        self._write()
            elif isinstance(one, Preview):
                self.watch.previewed(one)
            else:
                rejects.add(one)
                self.outcome.refused = rejects.count
                if not self.request.keep_going and not self.spoilt:
                    self.spoilt = True
                    self.batch.clear()
                if rejects.count % 1000 == 0:
                    self._tell()
        self._write()

    def _write(self) -> None:
        """Write the waiting traces; batches shrink where the database is slow, so that no lock lasts."""
        batch, self.batch = self.batch, []
        if self.base is not None and batch:
            held = bulk.held_by(dataset_id=self.base.pk, hashes=[one.content_hash for one in batch])
            fresh = [one for one in batch if (one.split, one.content_hash) not in held]
            self.outcome.existing += len(batch) - len(fresh)
            batch = fresh
        if batch:
            unpublished = self.unpublished or self._begin()
            began = time.monotonic()
            unpublished.add(batch)
            took = time.monotonic() - began
            if took > SLOW:
                self.batch_size = max(SMALLEST_BATCH, self.batch_size // 2)
            elif took < QUICK:
                self.batch_size = min(LARGEST_BATCH, self.batch_size * 2)
            self.outcome.imported += len(batch)
        self._tell()

    def _begin(self) -> Unpublished:
        request, base = self.request, self.base
        unpublished = Unpublished.begin(
            Draft(
                key=request.key,
                recipe={},
                description=f"imported from {self.row.file_name}"[:500],
                source=request.source or (base.source if base else ""),
                licence=request.licence or (base.licence if base else ""),
            )
        )
        self.unpublished = unpublished
        Import.objects.filter(pk=self.row.pk).update(unpublished=unpublished.dataset)
        if base is not None:
            for _ in unpublished.add_all_of(base):
                self._tell()
        return unpublished

    def _settle(self) -> None:
        outcome = self.outcome
        if outcome.refused and not self.request.keep_going:
            raise RefusedLinesError(
                f"{outcome.refused} of {self.reader.rows} records of {self.row.file_name} were refused, "
                f"so nothing was changed. {_some(outcome)}",
                hint=f"All of them: {outcome.rejects}. To take the others: --keep-going.",
            )
        if self.unpublished is None:
            if not outcome.existing:
                raise UnfitFileError(f"No record of {self.row.file_name} could be taken. {_some(outcome)}")
            outcome.dataset = self.base
            self.watch.counted(outcome)
            return
        self.watch.counted(outcome)
        self._tell(now=True)
        self.unpublished.dataset.recipe = self._recipe()
        result = self.unpublished.publish(parent=self.base, only_if_newest=True)
        outcome.dataset, outcome.created = result.dataset, result.created
        finish(result)
        if self.request.split and result.dataset.train_count and result.dataset.test_count:
            outcome.overlap = split_overlap(dataset=result.dataset)
        if outcome.overlap:
            outcome.notes.append(
                f"{outcome.overlap} prompts stand on both sides of the split; they were left where they are."
            )

    def _recipe(self) -> dict[str, Any]:
        with self.reader.path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {
            "kind": "import",
            "file": self.row.file_name,
            "sha256": digest,
            "container": self.reader.container,
            "format": self.format_name,
            "mapping": self.request.mapping,
            "split": self.request.split or f"the line's own, else {SPLIT_RULE}",
            "refused": self.outcome.refused,
            "added_to": self.base.content_hash if self.base else None,
        }

    def _tell(self, *, now: bool = False) -> None:
        moment = time.monotonic()
        if not now and moment - self.told_at < TOLD_EVERY:
            return
        self.told_at = moment
        done, outcome = self.reader.bytes_read, self.outcome
        rows = Import.objects.filter(pk=self.row.pk)
        rows.update(
            heartbeat_at=timezone.now(),
            bytes_done=done,
            imported=outcome.imported,
            existing=outcome.existing,
            refused=outcome.refused,
            format=self.format_name,
        )
        self.watch.progressed(done, outcome)
        if rows.filter(cancel_asked=True).exists():
            raise CancelledError("The import was cancelled. Nothing was changed.")


def _some(outcome: Outcome) -> str:
    named = "; ".join(str(refusal) for refusal in outcome.first_refused)
    more = outcome.refused - len(outcome.first_refused)
    return f"{named}{f'; and {more} more.' if more > 0 else ''}".strip()


def sweep_imports() -> int:
    """Give up imports whose process is gone, with all that they wrote; gives their number."""
    swept = 0
    here = socket.gethostname()[:100]
    for row in Import.objects.filter(status=Import.Status.RUNNING).select_related("unpublished"):
        gone = row.host == here and row.process is not None and not _is_alive(row.process)
        if not (gone or row.is_silent):
            continue
        mine = Import.objects.filter(pk=row.pk, status=Import.Status.RUNNING, process=row.process)
        if not mine.update(
            status=Import.Status.FAILED,
            error="The process was killed. Nothing was changed.",
            finished_at=timezone.now(),
        ):
            continue
        if row.unpublished is not None:
            discard(row.unpublished)
        swept += 1
    return swept


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
