"""What people write about a run: read and changed so that two who write at once lose nothing."""

import hashlib
from dataclasses import dataclass
from typing import Final

from django.db import transaction

from runs.models import Run
from runs.services import Actor, audit
from tunix_site.errors import ConflictError, InvalidInputError, NotFoundError

LONGEST: Final = 100_000
VERSION_LENGTH: Final = 16


class NotesChangedError(ConflictError):
    """Somebody else changed the notes meanwhile; ``present`` is what stands there now."""

    def __init__(self, run: Run) -> None:
        self.present = run.notes
        self.version = version_of(run.notes)
        super().__init__(
            f"Somebody changed the notes of run {run.pk} since you opened them.",
            hint="Read what stands there now, put both together, and save again.",
        )


@dataclass(frozen=True, slots=True)
class Saved:
    """The notes as they stand now; ``changed``: whether this made them so."""

    text: str
    version: str
    changed: bool


def version_of(text: str) -> str:
    """Name a state of the notes: the beginning of the SHA-256 of the text."""
    return hashlib.sha256(text.encode()).hexdigest()[:VERSION_LENGTH]


def save_notes(run: Run, *, text: str, version: str, actor: Actor = None) -> Saved:
    """Replace a run's notes, where they are still in the state ``version`` that the writer began from.

    Raises:
        InvalidInputError: for notes that are too long or hold a character that no database keeps.
        NotesChangedError: where somebody else was quicker.
        NotFoundError: where the run was deleted meanwhile.
    """
    text = text.replace("\r\n", "\n")
    if len(text) > LONGEST:
        raise InvalidInputError(f"Notes hold at most {LONGEST:,} characters; these have {len(text):,}.")
    if "\x00" in text:
        raise InvalidInputError(f"Character {text.index(chr(0)) + 1} of the notes is a NUL; take it out.")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise InvalidInputError("The notes hold half a surrogate pair, which is no whole character.")
    with transaction.atomic():
        present = Run.objects.filter(pk=run.pk).only("notes").first()
        if present is None:
            raise NotFoundError(f"Run {run.pk} was deleted meanwhile.")
        if text == present.notes:
            return Saved(text, version_of(text), changed=False)
        # Guarded by the text itself, so that of two at the same moment one alone writes.
        rows = Run.objects.filter(pk=run.pk, notes=present.notes)
        if version != version_of(present.notes) or not rows.update(notes=text):
            present.refresh_from_db(fields=["notes"])
            raise NotesChangedError(present)
        audit(run, "notes", actor, characters=len(text), before=len(present.notes))
    run.notes = text
    return Saved(text, version_of(text), changed=True)
