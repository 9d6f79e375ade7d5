"""Imports that came over HTTP: small ones at once, large ones in the queue, with progress and cancel."""

import logging
import shutil
from collections.abc import Iterable
from pathlib import Path

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from django_q.tasks import async_task

from datasets_app.imports.errors import CancelledError, TooLargeError
from datasets_app.imports.limits import MIB, Limits
from datasets_app.imports.outcome import Outcome
from datasets_app.imports.reader import count_at_most
from datasets_app.imports.rejects import REJECTS, folder_of
from datasets_app.imports.request import ImportRequest
from datasets_app.imports.run import carry_out, open_import
from datasets_app.models import Import
from tunix_site.errors import ConflictError, NotFoundError, UserError
from tunix_site.services import record_audit

logger = logging.getLogger(__name__)

CLUSTER = "housekeeping"
RUN_IMPORT = "datasets_app.tasks.run_import"
LARGEST_AT_ONCE = 10_000
LARGEST_UPLOAD_AT_ONCE = MIB
LARGEST_UNPACKED_AT_ONCE = 16 * MIB
UPLOAD = "upload"


def take_upload(
    *, request: ImportRequest, name: str, chunks: Iterable[bytes], actor: User | None
) -> tuple[Import, Outcome | None]:
    """Store an upload and import it: at once where it is small (gives the outcome), else in the queue.

    Raises:
        TooLargeError: while it streams in, if it goes beyond the limit of the settings.
        UserError: if a small one could not be imported; nothing was changed.
    """
    row = open_import(request=request, name=name, size=0, actor=actor)
    try:
        path, size = _store(row, chunks)
    except BaseException as error:
        said = str(error) if isinstance(error, UserError) else "The upload broke off."
        _end(row, Import.Status.FAILED, said)
        _forget_upload(row)
        raise
    Import.objects.filter(pk=row.pk).update(file_bytes=size)
    row.file_bytes = size
    if _is_large(path, name, size):
        with transaction.atomic():
            record_audit(
                actor=actor,
                action="dataset.enqueue_import",
                target_type="import",
                target_id=row.pk,
                detail={"key": request.key, "file": name, "bytes": size},
            )
            async_task(RUN_IMPORT, row.pk, cluster=CLUSTER, task_name=f"import-{row.pk}")
        return row, None
    try:
        outcome = carry_out(row=row, path=path)
    finally:
        _forget_upload(row)
        row.refresh_from_db()
    return row, outcome


def _store(row: Import, chunks: Iterable[bytes]) -> tuple[Path, int]:
    most = Limits.of_settings().total_bytes
    folder = folder_of(row.pk)
    folder.mkdir(parents=True, exist_ok=True)
    path, size = folder / UPLOAD, 0
    with path.open("wb") as file:
        for chunk in chunks:
            size += len(chunk)
            if size > most:
                raise TooLargeError(
                    f"The upload is larger than {most // MIB} MiB.",
                    hint="Part it, or raise TUNIX_IMPORT_MAX_MB.",
                )
            file.write(chunk)
    return path, size


def _is_large(path: Path, name: str, size: int) -> bool:
    if size > LARGEST_UPLOAD_AT_ONCE:
        return True
    return count_at_most(path, name=name, most=LARGEST_AT_ONCE, bytes_most=LARGEST_UNPACKED_AT_ONCE) is None


def run_queued_import(*, import_id: int) -> None:
    """Carry out a queued import. A second delivery of one that runs or has ended changes nothing."""
    waiting = Import.objects.filter(pk=import_id, status=Import.Status.QUEUED)
    if not waiting.update(status=Import.Status.RUNNING, heartbeat_at=timezone.now()):
        logger.info("Import %s is not waiting; left as it is.", import_id)
        return
    row = Import.objects.get(pk=import_id)
    try:
        carry_out(row=row, path=folder_of(row.pk) / UPLOAD)
    except CancelledError:
        logger.info("Import %s was cancelled.", import_id)
    except UserError as error:
        logger.info("Import %s failed: %s", import_id, error)
    finally:
        _forget_upload(row)


def cancel_import(*, import_id: int, actor: User | None = None) -> Import:
    """Cancel an import: one that waits at once, one that runs at its next batch.

    Raises:
        NotFoundError: if there is none with this id.
        ConflictError: if it has ended.
    """
    row = import_named(import_id=import_id)
    waiting = Import.objects.filter(pk=row.pk, status=Import.Status.QUEUED)
    running = Import.objects.filter(pk=row.pk, status=Import.Status.RUNNING)
    if waiting.update(
        status=Import.Status.CANCELLED,
        cancel_asked=True,
        error="Cancelled. Nothing was changed.",
        finished_at=timezone.now(),
    ):
        _forget_upload(row)
    elif not running.update(cancel_asked=True):
        raise ConflictError(f"Import {row.pk} has ended ({row.status}).")
    record_audit(
        actor=actor, action="dataset.cancel_import", target_type="import", target_id=row.pk, detail={}
    )
    row.refresh_from_db()
    return row


def import_named(*, import_id: int) -> Import:
    """Find an import.

    Raises:
        NotFoundError: if there is none with this id.
    """
    row = Import.objects.select_related("dataset", "requested_by").filter(pk=import_id).first()
    if row is None:
        raise NotFoundError(f"There is no import {import_id}.")
    return row


def rejects_path(*, row: Import) -> Path:
    """Find the file of refused lines.

    Raises:
        NotFoundError: if no line was refused.
    """
    path = folder_of(row.pk) / REJECTS
    if not path.is_file():
        raise NotFoundError(f"Import {row.pk} refused no line, or its file is gone.")
    return path


def _forget_upload(row: Import) -> None:
    folder = folder_of(row.pk)
    (folder / UPLOAD).unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        shutil.rmtree(folder, ignore_errors=True)


def _end(row: Import, status: str, error: str) -> None:
    Import.objects.filter(pk=row.pk).update(status=status, error=error, finished_at=timezone.now())
