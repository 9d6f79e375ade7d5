"""Imports whose process is gone: given up with all that they wrote, or completed where it was done."""

import os
import socket
from datetime import timedelta

from django.utils import timezone

from datasets_app.fresh_file import UNFINISHED
from datasets_app.imports import stored_upload
from datasets_app.imports.rejects import folder_of
from datasets_app.models import Import
from datasets_app.publishing import PublishResult, discard
from datasets_app.services import finish

UNCONFIRMED_AFTER = timedelta(days=1)
BROKEN_OFF = (
    "The traces are published, but their files may be missing: manage.py check_datasets --repair writes them."
)


def sweep_imports() -> int:
    """Give up imports whose process is gone, with all that they wrote; gives their number."""
    swept = _sweep_previews()
    here = socket.gethostname()[:100]
    for row in Import.objects.filter(status=Import.Status.RUNNING).select_related("unpublished"):
        gone = row.host == here and row.process is not None and not _is_alive(row.process)
        if not (gone or row.is_silent):
            continue
        mine = Import.objects.filter(pk=row.pk, status=Import.Status.RUNNING, process=row.process)
        made = row.unpublished
        if made is not None and made.status == made.Status.PUBLISHED:
            # It died after its traces became visible: they are all there.
            swept += mine.update(
                status=Import.Status.COMPLETED,
                dataset=made,
                unpublished=None,
                notes=[BROKEN_OFF],
                finished_at=timezone.now(),
            )
            finish(PublishResult(made, created=False))
            _clear(row)
            continue
        if not mine.update(
            status=Import.Status.FAILED,
            error="The process was killed. Nothing was changed.",
            finished_at=timezone.now(),
        ):
            continue
        _clear(row)
        if row.unpublished is not None:
            discard(row.unpublished)
        swept += 1
    return swept


def _clear(row: Import) -> None:
    """Remove the upload and what was written of files; the refused lines stay."""
    for left in folder_of(row.pk).glob(f"{UNFINISHED}*"):
        left.unlink(missing_ok=True)
    stored_upload.forget(row)


def _sweep_previews() -> int:
    """Give up what was looked at and never confirmed."""
    swept = 0
    long_ago = timezone.now() - UNCONFIRMED_AFTER
    for row in Import.objects.filter(status=Import.Status.PREVIEWED, created_at__lt=long_ago):
        swept += Import.objects.filter(pk=row.pk, status=Import.Status.PREVIEWED).update(
            status=Import.Status.CANCELLED,
            error="Nobody confirmed it within a day. Nothing was changed.",
            finished_at=timezone.now(),
        )
        stored_upload.forget(row)
    return swept


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
