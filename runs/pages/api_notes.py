"""REST routes of a run's notes."""

from typing import Annotated

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import ConfigDict, Field

from runs.pages.markdown import to_html
from runs.pages.notes_store import LONGEST, VERSION_LENGTH, save_notes, version_of
from runs.selectors import get_run
from tunix_site.auth import OPERATE, READ, require
from tunix_site.schemas import ERRORS, PositiveId

notes_router = Router(tags=["training"])


class NotesIn(Schema):
    """New notes, and the state that they were written from."""

    model_config = ConfigDict(extra="forbid")

    notes: Annotated[str, Field(max_length=LONGEST, description="Markdown")]
    version: Annotated[
        str, Field(max_length=VERSION_LENGTH, description="as GET gave it; 409 where the notes changed since")
    ]


class NotesOut(Schema):
    """The notes of a run."""

    run_id: int
    notes: str = Field(description="Markdown, as it was written")
    html: str = Field(description="the same as safe HTML")
    version: str = Field(description="names this state of the notes")


def _out(run_id: int, text: str) -> NotesOut:
    return NotesOut(run_id=run_id, notes=text, html=to_html(text), version=version_of(text))


@notes_router.get("runs/{run_id}/notes", response={200: NotesOut, **ERRORS}, auth=READ, summary="Notes")
def read_notes(request: HttpRequest, run_id: PositiveId) -> NotesOut:
    """Give what people wrote about a run."""
    return _out(run_id, get_run(run_id=run_id).notes)


@notes_router.patch(
    "runs/{run_id}/notes", response={200: NotesOut, **ERRORS}, auth=OPERATE, summary="Write notes"
)
def change_notes(request: HttpRequest, run_id: PositiveId, payload: NotesIn) -> NotesOut:
    """Replace the notes, unless somebody else changed them since ``version``."""
    user = require(request, "operate").user
    saved = save_notes(get_run(run_id=run_id), text=payload.notes, version=payload.version, actor=user)
    return _out(run_id, saved.text)
