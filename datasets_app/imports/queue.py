"""Imports that came over HTTP: small ones at once, large ones in the queue, with progress and cancel."""

import logging
from collections.abc import Iterable
from pathlib import Path

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from django_q.tasks import async_task

from datasets_app.imports import stored_upload
from datasets_app.imports.errors import CANCELLED, CancelledError
from datasets_app.imports.outcome import Outcome
from datasets_app.imports.rejects import REJECTS, folder_of
from datasets_app.imports.request import ImportRequest
from datasets_app.imports.run import carry_out, open_import
from datasets_app.models import Import
from tunix_site.errors import ConflictError, NotFoundError, UserError
from tunix_site.services import record_audit

logger = logging.getLogger(__name__)

CLUSTER = "housekeeping"
RUN_IMPORT = "datasets_app.tasks.run_import"


def take_upload(
    *, request: ImportRequest, name: str, chunks: Iterable[bytes], actor: User | None
) -> tuple[Import, Outcome | None]:
    """Store an upload and import it: at once where it is small (gives the outcome), else in the queue.

    Raises:
        TooLargeError: while it streams in, if it goes beyond the limit of the settings.
        UserError: if a small one could not be imported; nothing was changed.
    """
    row = store_upload(request=request, name=name, chunks=chunks, actor=actor)
    return row, start(row=row, actor=actor)


def store_upload(*, request: ImportRequest, name: str, chunks: Iterable[bytes], actor: User | None) -> Import:
    """Write an import down and store its file.

    Raises:
        TooLargeError: while it streams in, if it goes beyond the limit of the settings.
        CancelledError: if somebody cancelled it meanwhile.
    """
    row = open_import(request=request, name=name, size=0, actor=actor)
    try:
        size = stored_upload.store(row, chunks)
    except BaseException as error:
        give_up(row, str(error) if isinstance(error, UserError) else "The upload broke off.")
        raise
    if not Import.objects.filter(pk=row.pk, status=Import.Status.QUEUED).update(file_bytes=size):
        stored_upload.forget(row)
        raise CancelledError(CANCELLED)
    row.file_bytes = size
    return row


def start(*, row: Import, actor: User | None) -> Outcome | None:
    """Carry a stored upload out: at once where it is small (gives the outcome), else in the queue.

    Raises:
        UserError: if a small one could not be imported; nothing was changed.
    """
    if stored_upload.is_large(row):
        with transaction.atomic():
            record_audit(
                actor=actor,
                action="dataset.enqueue_import",
                target_type="import",
                target_id=row.pk,
                detail={"key": row.key, "file": row.file_name, "bytes": row.file_bytes},
            )
            async_task(RUN_IMPORT, row.pk, cluster=CLUSTER, task_name=f"import-{row.pk}")
        return None
    try:
        return carry_out(row=row, path=stored_upload.path_of(row))
    finally:
        stored_upload.forget(row)
        row.refresh_from_db()


def run_queued_import(*, import_id: int) -> None:
    """Carry out a queued import. A second delivery of one that runs or has ended changes nothing."""
    waiting = Import.objects.filter(pk=import_id, status=Import.Status.QUEUED)
    if not waiting.update(status=Import.Status.RUNNING, heartbeat_at=timezone.now()):
        logger.info("Import %s is not waiting; left as it is.", import_id)
        return
    row = Import.objects.get(pk=import_id)
    try:
        carry_out(row=row, path=stored_upload.path_of(row))
    except CancelledError:
        logger.info("Import %s was cancelled.", import_id)
    except UserError as error:
        logger.info("Import %s failed: %s", import_id, error)
    finally:
        stored_upload.forget(row)


def cancel_import(*, import_id: int, actor: User | None = None) -> Import:
    """Cancel an import: one that waits at once, one that runs at its next batch.

    Raises:
        NotFoundError: if there is none with this id.
        ConflictError: if it has ended.
    """
    row = import_named(import_id=import_id)
    waiting = Import.objects.filter(pk=row.pk, status__in=[Import.Status.QUEUED, Import.Status.PREVIEWED])
    running = Import.objects.filter(pk=row.pk, status=Import.Status.RUNNING)
    if waiting.update(
        status=Import.Status.CANCELLED,
        cancel_asked=True,
        error="Cancelled. Nothing was changed.",
        finished_at=timezone.now(),
    ):
        stored_upload.forget(row)
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


def give_up(row: Import, reason: str) -> None:
    """Write down that an import failed before it began, and remove its file."""
    Import.objects.filter(pk=row.pk).update(
        status=Import.Status.FAILED, error=reason, finished_at=timezone.now()
    )
    stored_upload.forget(row)
