"""The REST API of quality reports and of comparisons between datasets."""

import json
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from ninja import Router, Status
from pydantic import Field

from datasets_app.cards import croissant, dataset_card
from datasets_app.comparisons import comparison_of
from datasets_app.models import QualityReport
from datasets_app.quality import reports
from datasets_app.quality_schemas import ComparisonOut, ComparisonPendingOut, ReportIn, ReportOut
from datasets_app.selectors import resolve_dataset
from tunix_site.auth import OPERATE, READ, identify
from tunix_site.errors import ConflictError, NotFoundError
from tunix_site.schemas import ERRORS, PositiveId

router = Router(tags=["datasets"])


def _text(content_type: str) -> dict[str, Any]:
    content = {content_type: {"schema": {"type": "string"}}}
    return {"responses": {200: {"description": "OK", "content": content}}}


Address = Annotated[str, Field(min_length=1, max_length=200, description="KEY or KEY@HASHPREFIX")]


@router.get(
    "compare",
    auth=READ,
    response={200: ComparisonOut, 202: ComparisonPendingOut, **ERRORS},
    summary="Compare two datasets",
)
def compare_datasets(
    request: HttpRequest, a: Address, b: Address
) -> Status[ComparisonOut] | Status[ComparisonPendingOut]:
    """Say what was added, removed and changed (by prompt) from ``a`` to ``b``.

    202 while datasets of more than 20,000 traces together are compared in the queue: ask again. 409
    where that failed; asked again ten minutes later, it is tried anew.
    """
    row = comparison_of(a=resolve_dataset(address=a), b=resolve_dataset(address=b))
    if row.content:
        return Status(200, ComparisonOut.model_validate(row.content))
    if row.has_ended:
        raise ConflictError(f"{row.a.address} and {row.b.address} could not be compared.", hint=row.error)
    return Status(202, ComparisonPendingOut(a=row.a.address, b=row.b.address, status=row.status))


@router.get("{key}/quality", auth=READ, response={200: ReportOut, **ERRORS}, summary="Newest quality report")
def get_quality(request: HttpRequest, key: Address) -> ReportOut:
    """Give the newest finished quality report of a dataset."""
    dataset = resolve_dataset(address=key)
    report = reports.latest_report(dataset=dataset)
    if report is None:
        raise NotFoundError(
            f"{dataset.address} has no quality report yet.",
            hint=f"Ask for one: POST /api/datasets/{dataset.address}/quality",
        )
    return ReportOut.of(report)


@router.post(
    "{key}/quality",
    auth=OPERATE,
    response={200: ReportOut, 202: ReportOut, **ERRORS},
    summary="Make a quality report",
)
def make_quality(request: HttpRequest, key: Address, payload: ReportIn) -> Status[ReportOut]:
    """Make a report: 200 with its content; 202 where more than 10,000 traces must be read, in the queue."""
    identity = identify(request)
    report = reports.request_report(
        dataset=resolve_dataset(address=key),
        other=resolve_dataset(address=payload.against) if payload.against else None,
        sequence_length=payload.sequence_length,
        actor=identity.user if identity else None,
    )
    return Status(202 if report.is_alive else 200, ReportOut.of(report))


@router.get(
    "{key}/quality/{report_id}",
    auth=READ,
    response={200: ReportOut, **ERRORS},
    summary="A quality report",
)
def get_report(request: HttpRequest, key: Address, report_id: PositiveId) -> ReportOut:
    """Give a report, or tell how far its work is."""
    return ReportOut.of(_report(key, report_id))


@router.post(
    "{key}/quality/{report_id}/cancel",
    auth=OPERATE,
    response={200: ReportOut, **ERRORS},
    summary="Cancel a quality report",
)
def cancel_report(request: HttpRequest, key: Address, report_id: PositiveId) -> ReportOut:
    """Ask waiting or running work to end; 409 where it has ended."""
    identity = identify(request)
    actor = identity.user if identity else None
    return ReportOut.of(reports.cancel_report(report=_report(key, report_id), actor=actor))


def _report(key: str, report_id: int) -> QualityReport:
    return reports.report_by_id(dataset=resolve_dataset(address=key), report_id=report_id)


@router.get(
    "{key}/card.md",
    auth=READ,
    response=ERRORS,
    openapi_extra=_text("text/markdown"),
    summary="Dataset card",
)
def get_card(request: HttpRequest, key: Address) -> HttpResponse:
    """Give the README of a dataset as Hugging Face reads it."""
    card = dataset_card(resolve_dataset(address=key))
    return HttpResponse(card, content_type="text/markdown; charset=utf-8")


@router.get(
    "{key}/croissant.json",
    auth=READ,
    response=ERRORS,
    openapi_extra=_text("application/ld+json"),
    summary="Croissant description",
)
def get_croissant(request: HttpRequest, key: Address) -> HttpResponse:
    """Describe a dataset as Croissant JSON-LD."""
    content = json.dumps(croissant(resolve_dataset(address=key)), ensure_ascii=False, indent=2)
    return HttpResponse(content, content_type="application/ld+json")
