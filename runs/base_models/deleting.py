"""Delete a base model: its row and its files, unless a run names it."""

import errno
import shutil
import uuid
from pathlib import Path
from typing import Final

from django.db import transaction

from runs.base_models.places import DELETED, held, ready_root
from runs.base_models.selectors import runs_of
from runs.models import BaseModel
from runs.services import Actor
from tunix_site.errors import ConflictError, NotFoundError, UserError
from tunix_site.services import record_audit

NAMED: Final = 5


def delete_base(row: BaseModel, *, actor: Actor = None) -> int:
    """Delete a base model; gives the bytes that this frees.

    Raises:
        ConflictError: while the frozen config of a run names it, or it is being imported.
        NotFoundError: when it was deleted meanwhile.
        UserError: when its folder cannot be moved; nothing was changed.
    """
    _refuse(row)
    root = ready_root()
    place, aside = (
        root / row.content_hash,
        root / f"{DELETED}{row.content_hash[:12]}-{uuid.uuid4().hex}",
    )
    freed = row.size_bytes if place.exists() else 0
    # What nobody holds would be swept away by any import, and could not come back.
    with held(place):
        try:
            place.rename(aside)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise UserError(f"{row.reference} is still there: {error}.") from error
        try:
            _delete_row(row, place, actor=actor, freed=freed)
        except BaseException:
            _put_back(aside, place)
            raise
        shutil.rmtree(aside, ignore_errors=True)
    return freed


def _delete_row(row: BaseModel, place: Path, *, actor: Actor, freed: int) -> None:
    with transaction.atomic():
        # Runs and imports that found the folder have this row until they are written; others find none.
        if not BaseModel.objects.select_for_update().filter(pk=row.pk).order_by():
            raise NotFoundError(f"{row.reference} is deleted already.")
        _refuse(row)
        if place.exists():
            raise ConflictError(f"{row.reference} was imported again just now.", hint="Delete it again.")
        record_audit(
            actor=actor,
            action="model.delete",
            target_type="model",
            target_id=row.pk,
            detail={"reference": row.reference, "source": row.source, "freed_bytes": freed},
        )
        row.delete()


def _put_back(aside: Path, place: Path) -> None:
    if place.exists():
        # An import has brought the same again.
        shutil.rmtree(aside, ignore_errors=True)
    elif aside.exists():
        aside.rename(place)


def _refuse(row: BaseModel) -> None:
    runs = runs_of(row)
    if named := ", ".join(f"run {number}" for number in runs.values_list("pk", flat=True)[:NAMED]):
        count = runs.count()
        more = f" and {count - NAMED} more" if count > NAMED else ""
        raise ConflictError(
            f"{row.reference} is what {named}{more} were made from, or will be.",
            hint="Delete those first, or keep it.",
        )
