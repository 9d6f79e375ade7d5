"""Base models with their rows: imported from a folder, and found again where only the folder is known."""

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from django.contrib.auth.models import User
from django.db import transaction

from runs.base_models.copying import Progressed, damaged_files, quietly
from runs.base_models.naming import check_name, suggest_name
from runs.base_models.places import ready_root
from runs.base_models.placing import Origin, place_folder, read_record
from runs.models import BaseModel
from runs.services import Actor
from training.bases import RECORD_NAME, BaseRecord, reference
from training.errors import ConfigError
from tunix_site.errors import ConflictError, InvalidInputError
from tunix_site.services import record_audit

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Imported:
    """A base model's row; ``created``: it was not known before; notes on what it lacks.

    ``mended`` names its files that were damaged and are sound again.
    """

    row: BaseModel
    created: bool
    notes: list[str] = field(default_factory=list)
    mended: tuple[str, ...] = ()


def import_folder(
    folder: Path,
    *,
    origin: Origin | None = None,
    name: str = "",
    actor: Actor = None,
    progressed: Progressed = quietly,
) -> Imported:
    """Import a model from a folder; the same content twice only mends what is damaged.

    One content has one name: asking for another one is refused.

    Raises:
        InvalidInputError: when the model cannot be used, or may not be called so.
        ConflictError: when its content is here under another name than the one asked for.
        UserError: when there is no room for it or its files cannot be read.
    """
    folder = folder.resolve() if origin is None else folder
    # A name of other bytes than UTF-8 can neither be written down nor shown.
    origin = origin or Origin(os.fsencode(folder.name).decode("utf-8", "replace"))
    # Before anything is copied.
    called = check_name(name) if name else suggest_name(origin.source)

    def name_for(content_hash: str) -> str:
        known = _known_name(content_hash)
        if known and name and known != name:
            raise ConflictError(
                f"This very model is here as {known}@{content_hash[:12]}, and one content has one name.",
                hint="Use that name, or delete that model first.",
            )
        return known or called

    try:
        placed = place_folder(folder, origin=origin, name_for=name_for, progressed=progressed)
    except ConfigError as error:
        raise InvalidInputError(f"{origin.source} cannot be imported. {error}") from error
    row, created = store_row(placed.record, actor=actor)
    return Imported(row, created or placed.created, _notes(placed.record), placed.mended)


def store_row(record: BaseRecord, *, actor: Actor = None) -> tuple[BaseModel, bool]:
    """Write the row of a base model that lies here; tell whether there was none.

    Raises:
        ConflictError: when its files are gone.
    """
    values = record.model_dump(include={"name", "revision", "family", "parameters", "dtype", "licence_text"})
    with transaction.atomic():
        # A deletion that has begun is waited for.
        row, created = BaseModel.objects.select_for_update().get_or_create(
            content_hash=record.content_hash,
            defaults={
                **values,
                "source": record.source[:300],
                "licence": record.licence[:100],
                "files": {name: facts.model_dump() for name, facts in record.files.items()},
                "tokenizer_hash": record.tokenizer_hash,
                "chat_template_hash": record.chat_template_hash,
                "size_bytes": sum(facts.size for facts in record.files.values()),
                "imported_at": datetime.fromtimestamp(record.imported_at, UTC),
                "imported_by": actor if isinstance(actor, User) else None,
            },
        )
        if not row.is_here:
            raise ConflictError(
                f"{row.reference} was deleted while it was imported.",
                hint="Import it again.",
            )
        if created:
            detail = {"reference": row.reference, "source": row.source, "revision": row.revision}
            record_audit(
                actor=actor, action="model.import", target_type="model", target_id=row.pk, detail=detail
            )
    return row, created


def scan(*, actor: Actor = None) -> list[BaseModel]:
    """Write rows for base models that lie in the artifacts and have none; gives the new ones.

    A folder whose record or files are not whole is passed over.
    """
    made = []
    known = set(BaseModel.objects.values_list("content_hash", flat=True))
    for folder in sorted(ready_root().glob("[0-9a-f]*")):
        if folder.name in known:
            continue
        record = read_record(folder)
        if record is None:
            log.warning("%s is no whole base model.", folder)
            continue
        row, created = store_row(record, actor=actor)
        if created:
            made.append(row)
    return made


def verify() -> Iterator[tuple[str, list[str]]]:
    """Read every base model that lies here in full; gives the reference of each with its damaged files.

    One whose record or sizes do not fit has its folder's name and its record named.
    """
    for folder in sorted(ready_root().glob("[0-9a-f]*")):
        record = read_record(folder)
        if record is None:
            yield folder.name, [RECORD_NAME]
        else:
            yield reference(record.name, record.content_hash), damaged_files(folder, record.files)


def _known_name(content_hash: str) -> str:
    row = BaseModel.objects.filter(content_hash=content_hash).first()
    if row is not None:
        return row.name
    record = read_record(ready_root() / content_hash)
    return record.name if record else ""


def _notes(record: BaseRecord) -> list[str]:
    notes = []
    if not record.tokenizer_hash:
        notes.append(
            "It has no tokenizer.json, so nothing can be trained from it. transformers makes one of a "
            'tokenizer of another form: AutoTokenizer.from_pretrained("FOLDER").save_pretrained("FOLDER").'
        )
    elif not record.chat_template_hash:
        notes.append("It has no chat template.")
    if not record.licence and not record.licence_text:
        notes.append("Its folder says nothing of a licence.")
    return notes
