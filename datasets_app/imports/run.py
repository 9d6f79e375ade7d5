"""The way of an import: read, write unseen, publish at once; or leave everything as it was."""

import os
import socket
import time
from pathlib import Path

from django.contrib.auth.models import User
from django.utils import timezone

from datasets_app.imports.errors import CANCELLED, CancelledError
from datasets_app.imports.limits import Limits
from datasets_app.imports.outcome import Outcome, Watch
from datasets_app.imports.reader import FileReader, Preview
from datasets_app.imports.rejects import Refusal, Rejects
from datasets_app.imports.request import ImportRequest
from datasets_app.imports.sweeping import BROKEN_OFF, sweep_imports
from datasets_app.imports.work import Work
from datasets_app.models import Import
from datasets_app.publishing import sweep_abandoned
from tunix_site.errors import UserError
from tunix_site.services import record_audit


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
        CancelledError: if it was cancelled, before it began or since; nothing was changed.
        RefusedLinesError: if lines were refused and it was not to keep going; nothing was changed.
        UserError: why else it could not be done; nothing was changed.
    """
    sweep_imports()
    sweep_abandoned()
    rows = Import.objects.filter(pk=row.pk)
    claimed = rows.filter(status__in=Import.LIVE).update(
        status=Import.Status.RUNNING,
        heartbeat_at=timezone.now(),
        host=socket.gethostname()[:100],
        process=os.getpid(),
    )
    if not claimed:
        raise CancelledError(CANCELLED)
    work = Work(row, path, watch or Watch())
    try:
        outcome = work.run()
    except BaseException as error:
        cancelled = isinstance(error, CancelledError | KeyboardInterrupt)
        said = (
            str(error) if isinstance(error, UserError) else "Something went wrong; the log has the details."
        )
        if work.outcome.dataset is not None:
            # The traces are published and stay: what broke off is what comes after.
            work.outcome.notes.append(BROKEN_OFF if cancelled else said)
            _write_completed(row, work)
            raise
        rows.update(
            status=Import.Status.CANCELLED if cancelled else Import.Status.FAILED,
            error="Cancelled. Nothing was changed." if cancelled else said,
            refused=work.outcome.refused,
            format=work.format_name,
            unpublished=None,
            finished_at=timezone.now(),
        )
        raise
    _write_completed(row, work)
    if outcome.created and outcome.dataset is not None:
        record_audit(
            actor=row.requested_by,
            action="dataset.import",
            target_type="dataset",
            target_id=outcome.dataset.pk,
            detail={"address": outcome.dataset.address, "file": row.file_name, "imported": outcome.imported},
        )
    return outcome


def _write_completed(row: Import, work: Work) -> None:
    outcome = work.outcome
    Import.objects.filter(pk=row.pk).update(
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


def rehearse(
    *, request: ImportRequest, path: Path, name: str, watch: Watch | None = None, most: int | None = None
) -> Outcome:
    """Read a file to its end, or ``most`` of its records, and count, changing nothing."""
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
        if most is not None and outcome.imported + rejects.count >= most:
            break
    outcome.refused, outcome.first_refused = rejects.count, rejects.first
    outcome.seconds = time.monotonic() - started
    return outcome
