"""The REST API of imports: upload a file, follow its import, cancel it, fetch what was refused."""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from django.http import FileResponse, HttpRequest
from ninja import Router, Schema, Status
from pydantic import Field

from datasets_app.imports import previews, queue
from datasets_app.imports.outcome import Outcome
from datasets_app.imports.request import make_request, parse_mapping
from datasets_app.models import Import
from tunix_site.auth import OPERATE, READ, identify
from tunix_site.errors import InvalidInputError
from tunix_site.schemas import ERRORS, PositiveId

CHUNK = 1 << 16

imports_router = Router(tags=["imports"])

Key = Annotated[str, Field(min_length=1, max_length=100, description="the dataset that it goes into")]
ShortText = Annotated[str, Field(max_length=200)]


STATES = "previewed, queued, running, completed, failed, cancelled, lost (no sign of life)"


class ImportOut(Schema):
    """An import and how far it is."""

    id: int
    key: str
    status: str = Field(description=STATES)
    format: str
    file_name: str
    file_bytes: int
    bytes_done: int
    imported: int
    existing: int = Field(description="traces that the dataset held already")
    refused: int
    dataset: str | None = Field(description="address of the dataset that holds them now")
    content_hash: str | None
    error: str
    notes: list[str]
    preview: dict[str, Any] | None = Field(description="what importing would do, where one looked first")
    created_at: datetime
    finished_at: datetime | None
    url: str
    rejects: str | None = Field(description="where the refused lines can be fetched")

    @classmethod
    def of(cls, row: Import) -> Self:
        """Describe a row."""
        url = f"/api/datasets/import/{row.pk}"
        return cls(
            id=row.pk,
            key=row.key,
            status="lost" if row.is_silent else row.status,
            format=row.format,
            file_name=row.file_name,
            file_bytes=row.file_bytes,
            bytes_done=row.bytes_done,
            imported=row.imported,
            existing=row.existing,
            refused=row.refused,
            dataset=row.dataset.address if row.dataset else None,
            content_hash=row.dataset.content_hash if row.dataset else None,
            error=row.error,
            notes=row.notes,
            preview=row.preview or None,
            created_at=row.created_at,
            finished_at=row.finished_at,
            url=url,
            rejects=f"{url}/rejects.jsonl" if row.refused else None,
        )


_RAW_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@imports_router.post(
    "{key}/import",
    auth=OPERATE,
    response={200: ImportOut, 201: ImportOut, 202: ImportOut, **ERRORS},
    openapi_extra=_RAW_BODY,
    summary="Import a file",
)
def import_file(
    request: HttpRequest,
    key: Key,
    *,
    format: ShortText = "auto",
    split: Literal["train", "test"] | None = None,
    keep_going: bool = False,
    map: Annotated[str, Field(max_length=2000, description="prompt=body,answer=target")] = "",
    solve: Annotated[ShortText, Field(description="a generator family that writes the steps")] = "",
    source: ShortText = "",
    licence: Annotated[str, Field(max_length=100)] = "",
    file_name: ShortText = "upload",
    preview: bool = False,
) -> Status[ImportOut]:
    """Take the raw body as a file. 201 with the dataset; 200 where it held all of it already; 202 and a
    task where the file is larger than 1 MiB or holds more than 10,000 traces. With ``preview`` nothing
    is imported yet: 200 with what importing would do, until it is confirmed or cancelled.
    """
    if (request.content_type or "").startswith(("multipart/", "application/x-www-form-urlencoded")):
        raise InvalidInputError(
            "Send the file itself as the body, not a form.",
            hint="For example: curl --data-binary @FILE -H 'Content-Type: application/octet-stream' …",
        )
    wanted = make_request(
        key=key,
        format=format,
        split=split,
        keep_going=keep_going,
        mapping=parse_mapping(map),
        solve=solve,
        source=source,
        licence=licence,
    )
    identity = identify(request)
    name = file_name.replace("/", "_") or "upload"
    actor = identity.user if identity else None
    if preview:
        row = previews.look_first(request=wanted, name=name, chunks=_body(request), actor=actor)
        return Status(200, ImportOut.of(row))
    return _answer(*queue.take_upload(request=wanted, name=name, chunks=_body(request), actor=actor))


def _answer(row: Import, outcome: Outcome | None) -> Status[ImportOut]:
    if outcome is None:
        return Status(202, ImportOut.of(row))
    return Status(201 if outcome.created else 200, ImportOut.of(row))


def _body(request: HttpRequest) -> Iterator[bytes]:
    while chunk := request.read(CHUNK):
        yield chunk


@imports_router.get(
    "import/{int:import_id}", auth=READ, response={200: ImportOut, **ERRORS}, summary="One import"
)
def get_import(request: HttpRequest, import_id: PositiveId) -> ImportOut:
    """Tell how far an import is."""
    return ImportOut.of(queue.import_named(import_id=import_id))


@imports_router.post(
    "import/{int:import_id}/cancel",
    auth=OPERATE,
    response={200: ImportOut, **ERRORS},
    summary="Cancel an import",
)
def cancel_import(request: HttpRequest, import_id: PositiveId) -> ImportOut:
    """Cancel: nothing of the file is kept. A running import stops at its next batch."""
    identity = identify(request)
    return ImportOut.of(queue.cancel_import(import_id=import_id, actor=identity.user if identity else None))


@imports_router.post(
    "import/{int:import_id}/confirm",
    auth=OPERATE,
    response={200: ImportOut, 201: ImportOut, 202: ImportOut, **ERRORS},
    summary="Confirm an import",
)
def confirm_import(
    request: HttpRequest, import_id: PositiveId, *, keep_going: bool | None = None
) -> Status[ImportOut]:
    """Import what was uploaded with ``preview``; ``keep_going`` replaces what was asked for then."""
    identity = identify(request)
    actor = identity.user if identity else None
    return _answer(*previews.confirm(import_id=import_id, keep_going=keep_going, actor=actor))


_LINES: dict[str, Any] = {
    "responses": {
        200: {"description": "OK", "content": {"application/x-ndjson": {"schema": {"type": "string"}}}}
    }
}


@imports_router.get(
    "import/{int:import_id}/rejects.jsonl",
    auth=READ,
    response=ERRORS,
    openapi_extra=_LINES,
    summary="Refused lines",
)
def get_rejects(request: HttpRequest, import_id: PositiveId) -> FileResponse:
    """Fetch every refused line: number, byte offset, field, reason, and the line itself."""
    row = queue.import_named(import_id=import_id)
    return FileResponse(
        queue.rejects_path(row=row).open("rb"),
        as_attachment=True,
        filename=f"import-{row.pk}-rejects.jsonl",
        content_type="application/x-ndjson; charset=utf-8",
    )
