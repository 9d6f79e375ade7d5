"""Delete a base model: its row and its files, unless a run names it."""

import errno
import shutil
import uuid

from django.db import transaction

from runs.base_models.places import DELETED, ready_root
from runs.base_models.selectors import runs_by_base
from runs.models import BaseModel
from runs.services import Actor
from tunix_site.errors import ConflictError, UserError
from tunix_site.services import record_audit


def delete_base(row: BaseModel, *, actor: Actor = None) -> int:
    """Delete a base model; gives the bytes that this frees.

    Raises:
        ConflictError: while the frozen config of a run names it.
        UserError: when its folder cannot be moved; nothing was changed.
    """
    _refuse(row)
    root = ready_root()
    place, aside = (
        root / row.content_hash,
        root / f"{DELETED}{row.content_hash[:12]}-{uuid.uuid4().hex}",
    )
    freed = row.size_bytes if place.exists() else 0
    try:
        place.rename(aside)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise UserError(f"{row.reference} is still there: {error}.") from error
    try:
        with transaction.atomic():
            # From here on no new run finds the folder; one that found it has its row by now.
            _refuse(row)
            record_audit(
                actor=actor,
                action="model.delete",
                target_type="model",
                target_id=row.pk,
                detail={"reference": row.reference, "source": row.source, "freed_bytes": freed},
            )
            row.delete()
    except BaseException:
        if aside.exists():
            aside.rename(place)
        raise
    shutil.rmtree(aside, ignore_errors=True)
    return freed


def _refuse(row: BaseModel) -> None:
    runs = runs_by_base([row])[row.content_hash]
    if runs:
        more = f" and {len(runs) - 5} more" if len(runs) > 5 else ""
        named = ", ".join(f"run {run.pk}" for run in runs[:5])
        raise ConflictError(
            f"{row.reference} is what {named}{more} were made from, or will be.",
            hint="Delete those first, or keep it.",
        )
