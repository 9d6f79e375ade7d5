"""REST routes of base models: list, look, import from the hub, delete."""

from typing import Annotated

from django.http import HttpRequest
from ninja import Path, Router, Status

from runs.base_models.deleting import delete_base
from runs.base_models.queue import enqueue_import, import_named
from runs.base_models.schemas import (
    BaseModelDetailOut,
    BaseModelListOut,
    BaseModelOut,
    DeletedOut,
    ImportIn,
    ModelImportOut,
)
from runs.base_models.selectors import find_row, list_bases, runs_of
from tunix_site.auth import ADMIN, OPERATE, READ, require
from tunix_site.schemas import ERRORS, Limit, Offset, PositiveId

models_router = Router(tags=["models"])

Address = Annotated[str, Path(max_length=160, description="NAME (imported last under it) or NAME@HASH")]


@models_router.get("", auth=READ, response={200: BaseModelListOut, **ERRORS}, summary="Base models")
def list_models(request: HttpRequest, limit: Limit = 100, offset: Offset = 0) -> BaseModelListOut:
    """List the base models that were imported, the newest first."""
    rows = list_bases()
    items = [BaseModelOut.of(row) for row in rows[offset : offset + limit]]
    return BaseModelListOut(items=items, count=rows.count())


@models_router.post(
    "import", auth=OPERATE, response={202: ModelImportOut, **ERRORS}, summary="Import from the hub"
)
def import_model(request: HttpRequest, payload: ImportIn) -> Status[ModelImportOut]:
    """Put the import of a model of the hub into the queue. Folders of the server's disk are not read
    for a request: `manage.py import_model FOLDER` imports those. A gated model needs HF_TOKEN in the
    environment of the worker.
    """
    actor = require(request, "operate").user
    row = enqueue_import(repository=payload.repo, revision=payload.revision, name=payload.name, actor=actor)
    return Status(202, ModelImportOut.of(row))


@models_router.get(
    "imports/{int:import_id}", auth=READ, response={200: ModelImportOut, **ERRORS}, summary="One import"
)
def get_import(request: HttpRequest, import_id: PositiveId) -> ModelImportOut:
    """Tell how far an import is."""
    return ModelImportOut.of(import_named(import_id))


@models_router.get(
    "{address}", auth=READ, response={200: BaseModelDetailOut, **ERRORS}, summary="One base model"
)
def get_model(request: HttpRequest, address: Address) -> BaseModelDetailOut:
    """Give a base model with its files, its licence and the runs that name it."""
    row = find_row(address)
    return BaseModelDetailOut.of_runs(row, runs_of(row))


@models_router.delete(
    "{address}", auth=ADMIN, response={200: DeletedOut, **ERRORS}, summary="Delete a base model"
)
def delete_model(request: HttpRequest, address: Address) -> DeletedOut:
    """Delete a base model with its files; 409 while the recipe of a run names it."""
    actor = require(request, "admin").user
    return DeletedOut(freed_bytes=delete_base(find_row(address), actor=actor))
