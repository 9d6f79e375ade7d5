"""The REST API of traces and datasets."""

from itertools import groupby
from typing import Annotated, Any

from django.http import HttpRequest, StreamingHttpResponse
from ninja import Router, Status
from pydantic import Field

from datasets_app import builds, member_pages, selectors
from datasets_app.build_request import BuildRequest
from datasets_app.formats import export_lines
from datasets_app.schemas import (
    BatchOut,
    BuildTaskOut,
    DatasetBuiltOut,
    DatasetDetailOut,
    DatasetOut,
    DatasetPage,
    FormatName,
    MemberOut,
    MemberPage,
    SplitName,
    StoredRef,
    TraceBatchIn,
    TraceDetailOut,
    TraceIn,
    TraceOut,
    TracePage,
    TraceStoredOut,
)
from datasets_app.services import StoredTrace, store_handed_in
from datasets_app.stored_pages import stored_page
from tunix_site.auth import OPERATE, READ, identify
from tunix_site.schemas import ERRORS, Limit, Offset, PositiveId

DATASETS_NAMED = 100

traces_router = Router(tags=["traces"])
datasets_router = Router(tags=["datasets"])

Address = Annotated[str, Field(min_length=1, max_length=200, description="KEY or KEY@HASHPREFIX")]
ShortText = Annotated[str, Field(max_length=200)]


@traces_router.post(
    "", auth=OPERATE, response={200: TraceStoredOut, 201: TraceStoredOut, **ERRORS}, summary="Store a trace"
)
def store_trace(request: HttpRequest, payload: TraceIn) -> Status[TraceStoredOut]:
    """Store one trace: 201 where it is new, 200 where it was stored already."""
    stored = _store([payload])[0]
    answer = TraceStoredOut(**TraceOut.facts(stored.trace), created=stored.created)
    return Status(201 if stored.created else 200, answer)


@traces_router.post(
    "batch", auth=OPERATE, response={200: BatchOut, 201: BatchOut, **ERRORS}, summary="Store several traces"
)
def store_batch(request: HttpRequest, payload: TraceBatchIn) -> Status[BatchOut]:
    """Store up to 5,000 traces, all or none: 201 where any is new."""
    stored = _store(payload.traces)
    created = sum(one.created for one in stored)
    items = [
        StoredRef(id=one.trace.pk, content_hash=one.trace.content_hash, created=one.created) for one in stored
    ]
    answer = BatchOut(created=created, existing=len(stored) - created, items=items)
    return Status(201 if created else 200, answer)


def _store(payloads: list[TraceIn]) -> list[StoredTrace]:
    return store_handed_in(traces=[(one.record(), one.source, one.licence, one.family) for one in payloads])


@traces_router.get("", auth=READ, response={200: TracePage, **ERRORS}, summary="Stored traces")
def list_traces(
    request: HttpRequest,
    limit: Limit = 50,
    offset: Offset = 0,
    source: ShortText | None = None,
    content_hash: ShortText | None = None,
) -> TracePage:
    """Give the stored traces, the newest first; of one source or with one hash where asked."""
    page = stored_page(source=source, content_hash=content_hash, offset=offset, limit=limit)
    return TracePage(
        items=[TraceOut.of(trace) for trace in page.traces],
        count=page.count,
        count_is_exact=page.is_exact,
        limit=limit,
        offset=offset,
    )


@traces_router.get("{trace_id}", auth=READ, response={200: TraceDetailOut, **ERRORS}, summary="One trace")
def get_trace(request: HttpRequest, trace_id: PositiveId) -> TraceDetailOut:
    """Give one trace with the datasets that hold it."""
    trace = selectors.trace_by_id(trace_id=trace_id)
    held_by = selectors.datasets_of_trace(trace=trace)[:DATASETS_NAMED]
    return TraceDetailOut(**TraceOut.facts(trace), datasets=[dataset.address for dataset in held_by])


@datasets_router.post(
    "build",
    auth=OPERATE,
    response={200: DatasetBuiltOut, 201: DatasetBuiltOut, 202: BuildTaskOut, **ERRORS},
    summary="Build a dataset",
)
def build_dataset(
    request: HttpRequest, payload: BuildRequest
) -> Status[DatasetBuiltOut] | Status[BuildTaskOut]:
    """Generate a dataset by its key, or choose one from stored traces.

    201 with the dataset; 200 where this content was there already; 202 with a task for more than
    10,000 traces.
    """
    identity = identify(request)
    actor = identity.user if identity else None
    if builds.is_large(payload):
        task = builds.enqueue_build(request=payload, actor=actor)
        return Status(202, BuildTaskOut.of(task))
    result = builds.build(request=payload, actor=actor)
    answer = DatasetBuiltOut.of(result.dataset, created=result.created)
    return Status(201 if result.created else 200, answer)


@datasets_router.get(
    "build/{task_id}", auth=READ, response={200: BuildTaskOut, **ERRORS}, summary="A queued build"
)
def get_build(request: HttpRequest, task_id: PositiveId) -> BuildTaskOut:
    """Tell how far a queued build is."""
    return BuildTaskOut.of(builds.build_task(task_id=task_id))


@datasets_router.post(
    "build/{task_id}/cancel",
    auth=OPERATE,
    response={200: BuildTaskOut, **ERRORS},
    summary="Cancel a queued build",
)
def cancel_build(request: HttpRequest, task_id: PositiveId) -> BuildTaskOut:
    """Cancel: nothing of it is kept. A running build stops at its next batch; 409 where it has ended or
    is being published already.
    """
    identity = identify(request)
    actor = identity.user if identity else None
    return BuildTaskOut.of(builds.cancel_build(task_id=task_id, actor=actor))


@datasets_router.get("", auth=READ, response={200: DatasetPage, **ERRORS}, summary="Datasets")
def list_datasets(
    request: HttpRequest,
    limit: Limit = 50,
    offset: Offset = 0,
    key: ShortText | None = None,
) -> DatasetPage:
    """Give all contents of all keys, or of one; the newest of each key first."""
    rows = selectors.list_datasets().select_related("parent")
    if key is not None:
        rows = rows.filter(key=key)
    page = rows[offset : offset + limit]
    return DatasetPage(
        items=[DatasetOut.of(dataset) for dataset in page], count=rows.count(), limit=limit, offset=offset
    )


@datasets_router.get("{key}", auth=READ, response={200: DatasetDetailOut, **ERRORS}, summary="One dataset")
def get_dataset(request: HttpRequest, key: Address) -> DatasetDetailOut:
    """Give the newest content of a key, or the one that KEY@HASHPREFIX names."""
    dataset = selectors.resolve_dataset(address=key)
    return DatasetDetailOut.of(
        dataset,
        families=selectors.family_counts(dataset=dataset),
        provenance=selectors.provenance_counts(dataset=dataset),
    )


@datasets_router.get(
    "{key}/traces", auth=READ, response={200: MemberPage, **ERRORS}, summary="Traces of a dataset"
)
def list_members(
    request: HttpRequest,
    key: Address,
    *,
    limit: Limit = 50,
    offset: Offset = 0,
    split: SplitName | None = None,
    family: ShortText | None = None,
) -> MemberPage:
    """Give the traces of a dataset in order, with the verdict on each step."""
    dataset = selectors.resolve_dataset(address=key)
    total = member_pages.count_members(dataset=dataset, split=split, family=family)
    page = member_pages.member_page(
        dataset=dataset, split=split, family=family, offset=offset, limit=limit, total=total
    )
    return MemberPage(
        items=[MemberOut.of(member) for member in page],
        count=total,
        limit=limit,
        offset=offset,
    )


_JSON_LINES: dict[str, Any] = {
    "responses": {
        200: {"description": "OK", "content": {"application/x-ndjson": {"schema": {"type": "string"}}}}
    }
}


@datasets_router.get(
    "{key}/export.jsonl",
    auth=READ,
    response=ERRORS,
    openapi_extra=_JSON_LINES,
    summary="Export a dataset",
)
def export_dataset(
    request: HttpRequest,
    key: Address,
    format: FormatName = "trace",
    split: SplitName | None = None,
) -> StreamingHttpResponse:
    """Stream a dataset as JSON lines; only the format ``trace`` loses nothing."""
    dataset = selectors.resolve_dataset(address=key)
    lines = export_lines(dataset=dataset, format=format, split=split)
    name = f"{dataset.key}-{dataset.content_hash[:12]}-{format}.jsonl"
    return StreamingHttpResponse(
        _in_chunks(lines),
        content_type="application/x-ndjson; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _in_chunks(lines: Any) -> Any:
    """Join lines, a few hundred a chunk: one write a line would be slow."""
    for _, group in groupby(enumerate(lines), key=lambda pair: pair[0] // 256):
        yield b"".join(line for _, line in group)
