"""Looking before importing: an upload is read and counted, and waits for a yes."""

from collections.abc import Iterable
from typing import Any

from django.contrib.auth.models import User

from datasets_app.imports import stored_upload
from datasets_app.imports.errors import CANCELLED, CancelledError
from datasets_app.imports.outcome import Outcome, Watch
from datasets_app.imports.queue import give_up, import_named, start, store_upload
from datasets_app.imports.reader import Preview
from datasets_app.imports.request import ImportRequest
from datasets_app.imports.run import rehearse
from datasets_app.models import Import
from tunix_site.errors import ConflictError, UserError

COUNTED = stored_upload.LARGEST_AT_ONCE
STEPS_SHOWN = 20
TEXT_SHOWN = 1000


def look_first(*, request: ImportRequest, name: str, chunks: Iterable[bytes], actor: User | None) -> Import:
    """Store an upload and tell what importing it would do; nothing is imported before `confirm`.

    ``preview`` of the import has the format, the mapping, the first three traces, and the counts of
    up to 10,000 records (``whole`` says whether that is all of them).

    Raises:
        UserError: if it cannot be imported at all; nothing was changed.
    """
    row = store_upload(request=request, name=name, chunks=chunks, actor=actor)
    seen: list[Preview] = []
    try:
        outcome = rehearse(
            request=request,
            path=stored_upload.path_of(row),
            name=name,
            watch=Watch(previewed=seen.append),
            most=COUNTED,
        )
    except BaseException as error:
        give_up(row, str(error) if isinstance(error, UserError) else "It could not be read.")
        raise
    waiting = Import.objects.filter(pk=row.pk, status=Import.Status.QUEUED)
    if not waiting.update(
        status=Import.Status.PREVIEWED, preview=_described(seen[0], outcome), format=seen[0].format
    ):
        stored_upload.forget(row)
        raise CancelledError(CANCELLED)
    row.refresh_from_db()
    return row


def confirm(
    *, import_id: int, keep_going: bool | None = None, actor: User | None = None
) -> tuple[Import, Outcome | None]:
    """Import what was looked at: at once where it is small (gives the outcome), else in the queue.

    ``keep_going`` replaces what was asked for with the upload.

    Raises:
        NotFoundError: if there is no such import.
        ConflictError: if it does not wait for a yes (any more).
        UserError: if a small one could not be imported; nothing was changed.
    """
    row = import_named(import_id=import_id)
    request = row.request if keep_going is None else row.request | {"keep_going": keep_going}
    waiting = Import.objects.filter(pk=row.pk, status=Import.Status.PREVIEWED)
    if not waiting.update(status=Import.Status.QUEUED, request=request):
        raise ConflictError(f"Import {row.pk} does not wait to be confirmed ({row.status}).")
    row.refresh_from_db()
    return row, start(row=row, actor=actor)


def _described(preview: Preview, outcome: Outcome) -> dict[str, Any]:
    counted = outcome.imported + outcome.refused
    return {
        "format": preview.format,
        "container": preview.container,
        "mapping": preview.mapping,
        "notes": preview.notes,
        "traces": [
            {
                "split": member.split,
                "prompt": member.record.prompt[:TEXT_SHOWN],
                "steps": [step.content[:TEXT_SHOWN] for step in member.record.steps[:STEPS_SHOWN]],
                "step_count": len(member.record.steps),
                "final_answer": member.record.final_answer[:TEXT_SHOWN],
            }
            for member in preview.traces
        ],
        "fit": outcome.imported,
        "refused": outcome.refused,
        "whole": counted < COUNTED,
        "first_refused": [str(refusal)[:TEXT_SHOWN] for refusal in outcome.first_refused],
    }
