"""What the API tells of base models and their imports."""

from datetime import datetime
from typing import Annotated, Any, Final, Self

from django.db.models import QuerySet
from ninja import Schema
from pydantic import ConfigDict, Field

from runs.models import BaseModel, ModelImport, Run
from training.bases import NAME_PATTERN

# Fields that are not the row's own.
_OTHERWISE: Final = ("imported_by", "url")
REVISION: Final = r"^[A-Za-z0-9][A-Za-z0-9._/-]*$"


class FileOut(Schema):
    """One file of a base model."""

    size: int = Field(description="bytes")
    sha256: str


class BaseModelOut(Schema):
    """A base model."""

    name: str
    reference: str = Field(description="what a recipe's `model` names: NAME@HASH")
    content_hash: str
    family: str
    parameters: int
    dtype: str = Field(description="of most stored numbers: F32, BF16 or F16")
    size_bytes: int
    source: str = Field(description="a folder's name, or a repository of the hub")
    revision: str = Field(description="the commit there")
    licence: str
    tokenizer_hash: str = Field(description="SHA-256 of tokenizer.json; empty: it has none")
    chat_template_hash: str = Field(description="SHA-256 of the template's text; empty: it has none")
    imported_at: datetime
    imported_by: str
    is_here: bool = Field(description="whether its files lie on the server's machine")
    url: str

    @classmethod
    def of(cls, row: BaseModel) -> Self:
        """Describe a row."""
        return cls(**_facts(row))


class BaseModelDetailOut(BaseModelOut):
    """A base model with its files, its licence, and the runs whose recipes name it."""

    files: dict[str, FileOut]
    licence_text: str
    runs: list[int] = Field(description="newest first")

    @classmethod
    def of_runs(cls, row: BaseModel, runs: QuerySet[Run]) -> Self:
        """Describe a row and the runs that name it."""
        return cls(
            **_facts(row),
            files={name: FileOut(**facts) for name, facts in row.files.items()},
            licence_text=row.licence_text,
            runs=list(runs.values_list("pk", flat=True)),
        )


class BaseModelListOut(Schema):
    """Some base models, the newest first, and how many there are."""

    items: list[BaseModelOut]
    count: int


class ImportIn(Schema):
    """Which model of the hub to import. Folders are imported by `manage.py import_model` alone."""

    model_config = ConfigDict(extra="forbid")

    repo: Annotated[str, Field(min_length=3, max_length=200, description="OWNER/NAME")]
    revision: Annotated[
        str, Field(max_length=100, pattern=f"^$|{REVISION}", description="branch, tag or commit")
    ] = ""
    name: Annotated[
        str, Field(max_length=80, pattern=f"^({NAME_PATTERN})?$", description="default: after the repository")
    ] = ""


class ModelImportOut(Schema):
    """An import from the hub, and how far it is."""

    id: int
    repo: str
    revision: str
    name: str
    status: str = Field(description="queued, running, completed, failed, lost (no sign of life)")
    doing: str
    bytes_done: int
    bytes_total: int
    error: str
    notes: list[str]
    reference: str | None = Field(description="the base model, once it is there")
    created_at: datetime
    finished_at: datetime | None
    url: str

    @classmethod
    def of(cls, row: ModelImport) -> Self:
        """Describe a row."""
        return cls(
            id=row.pk,
            repo=row.repository,
            revision=row.revision,
            name=row.name,
            status=row.state,
            doing=row.doing,
            bytes_done=row.bytes_done,
            bytes_total=row.bytes_total,
            error=row.error,
            notes=row.notes,
            reference=row.base.reference if row.base else None,
            created_at=row.created_at,
            finished_at=row.finished_at,
            url=f"/api/models/imports/{row.pk}",
        )


class DeletedOut(Schema):
    """What deleting a base model freed."""

    freed_bytes: int


def _facts(row: BaseModel) -> dict[str, Any]:
    told = {name: getattr(row, name) for name in BaseModelOut.model_fields if name not in _OTHERWISE}
    by = row.imported_by.get_username() if row.imported_by else ""
    return {**told, "imported_by": by, "url": f"/api/models/{row.reference}"}
