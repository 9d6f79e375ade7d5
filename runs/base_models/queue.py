"""Imports from the hub in the queue: asked for on a page or by the API, with progress, in turns."""

import logging
import time
from typing import Final

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django_q.tasks import async_task

from runs.base_models.from_hub import import_repository
from runs.base_models.hub import FETCHING
from runs.base_models.naming import check_name, is_repository, suggest_name
from runs.models import ModelImport
from runs.services import Actor
from tunix_site.errors import ConflictError, InvalidInputError, NotFoundError, UserError
from tunix_site.services import record_audit

log = logging.getLogger(__name__)

CLUSTER: Final = "housekeeping"
RUN: Final = "runs.base_models.tasks.run_import"
# A long download lets others of this queue go between, and ends before its task would be ended.
TURN_S: Final = 600.0
BEAT_S: Final = 2.0


class _TurnOverError(Exception):
    """The download has had its turn; what it fetched is kept."""


def enqueue_import(
    *, repository: str, revision: str = "", name: str = "", actor: Actor = None
) -> ModelImport:
    """Put an import into the queue.

    Raises:
        InvalidInputError: for a repository or name that cannot be.
        ConflictError: when the same waits or runs already.
    """
    if not is_repository(repository):
        raise InvalidInputError(
            f"{repository[:200]!r} is no repository of the hub.",
            hint="Write OWNER/NAME, as Qwen/Qwen3-0.6B. A folder is imported by manage.py import_model.",
        )
    check_name(name or suggest_name(repository))
    same = ModelImport.objects.filter(repository=repository, revision=revision, status__in=ModelImport.LIVE)
    if other := next((one for one in same if not one.is_silent), None):
        raise ConflictError(f"Import {other.pk} of {repository} is {other.status} already.")
    with transaction.atomic():
        row = ModelImport.objects.create(
            repository=repository,
            revision=revision,
            name=name,
            requested_by=actor if isinstance(actor, User) else None,
        )
        detail = {"repository": repository, "revision": revision, "name": name}
        record_audit(
            actor=actor,
            action="model.enqueue_import",
            target_type="model_import",
            target_id=row.pk,
            detail=detail,
        )
        _deliver(row)
    return row


def import_named(import_id: int) -> ModelImport:
    """Find an import.

    Raises:
        NotFoundError: if there is none with this id.
    """
    row = ModelImport.objects.select_related("base", "requested_by").filter(pk=import_id).first()
    if row is None:
        raise NotFoundError(f"There is no import {import_id} of a model.")
    return row


def run_queued_import(import_id: int) -> None:
    """Carry out a turn of a queued import, or go on with one whose worker is gone.

    A second delivery of one that runs or has ended does nothing.
    """
    silent = Q(heartbeat_at=None) | Q(heartbeat_at__lt=timezone.now() - ModelImport.SILENT_AFTER)
    waits = Q(status=ModelImport.Status.QUEUED) | Q(status=ModelImport.Status.RUNNING) & silent
    if not ModelImport.objects.filter(waits, pk=import_id).update(
        status=ModelImport.Status.RUNNING, heartbeat_at=timezone.now()
    ):
        log.info("Import %s of a model is not waiting; left as it is.", import_id)
        return
    row = import_named(import_id)
    beat = _Beat(row)
    try:
        imported = import_repository(
            row.repository, revision=row.revision, name=row.name, actor=row.requested_by, progressed=beat
        )
    except _TurnOverError:
        with transaction.atomic():
            _end(row, ModelImport.Status.QUEUED, finished_at=None)
            _deliver(row)
    except UserError as error:
        _end(row, ModelImport.Status.FAILED, error=str(error))
    except BaseException:
        _end(row, ModelImport.Status.FAILED, error="It broke off. The log of the worker says why.")
        raise
    else:
        size = imported.row.size_bytes
        said = f"Mended what was damaged: {', '.join(imported.mended)}." if imported.mended else ""
        notes = imported.notes if imported.created else [said or "It was here already.", *imported.notes]
        _end(
            row,
            ModelImport.Status.COMPLETED,
            base=imported.row,
            notes=notes,
            bytes_done=size,
            bytes_total=size,
            doing="",
        )


class _Beat:
    """Writes down how far an import is, every few seconds, until its turn is over."""

    def __init__(self, row: ModelImport) -> None:
        self._row = row
        self._last = 0.0
        self._until = time.monotonic() + TURN_S

    def __call__(self, done: int, total: int, what: str) -> None:
        now = time.monotonic()
        if now - self._last >= BEAT_S:
            self._last = now
            ModelImport.objects.filter(pk=self._row.pk).update(
                bytes_done=done, bytes_total=total, doing=what[:200], heartbeat_at=timezone.now()
            )
        # What comes in parts goes on later; copying and comparing would begin anew.
        if now > self._until and what.startswith(FETCHING):
            raise _TurnOverError


def _end(row: ModelImport, status: ModelImport.Status, **changes: object) -> None:
    ModelImport.objects.filter(pk=row.pk, status=ModelImport.Status.RUNNING).update(
        **{"status": status, "finished_at": timezone.now(), **changes}
    )


def _deliver(row: ModelImport) -> None:
    async_task(RUN, row.pk, cluster=CLUSTER, task_name=f"import-model-{row.pk}")
