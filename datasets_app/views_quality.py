"""The quality page of a dataset, and two datasets side by side."""

from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from datasets_app import selectors
from datasets_app.comparisons import comparison_of
from datasets_app.models import Dataset
from datasets_app.quality import reports
from tunix_site.errors import UserError
from tunix_site.roles import covers, user_scope

KEPT_LISTED = 20
OTHERS_OFFERED = 100


def address_or_404(address: str) -> Dataset:
    """Find a dataset for a page."""
    try:
        return selectors.resolve_dataset(address=address)
    except UserError as error:
        raise Http404(str(error)) from error


@require_safe
def quality(request: HttpRequest, address: str) -> HttpResponse:
    """Show the newest quality report of a dataset, or the one that is asked for."""
    return _page(request, address_or_404(address))


def _page(request: HttpRequest, dataset: Dataset, problem: str = "", status: int = 200) -> HttpResponse:
    made = list(reports.reports_of(dataset=dataset)[:KEPT_LISTED])
    wanted = request.GET.get("report", "")
    chosen = next((one for one in made if str(one.pk) == wanted), None)
    report = chosen if chosen and chosen.content else reports.latest_report(dataset=dataset)
    context: dict[str, Any] = {
        "dataset": dataset,
        "report": report,
        "content": report.content if report else None,
        "alive": next((one for one in made if one.is_alive and not one.is_silent), None),
        "failed": next((one for one in made[:1] if one.error), None),
        "made": [one for one in made if one.content],
        "may_make": covers(user_scope(request.user), "operate"),
        "others": _others(dataset),
        "problem": problem,
        "min_length": reports.MIN_LENGTH,
        "max_length": reports.MAX_LENGTH,
    }
    if report is not None:
        names = ("histograms", "tokens", "sequence_length")
        context["chart_data"] = {name: report.content[name] for name in names}
    return render(request, "datasets_app/quality.html", context, status=status)


def _others(dataset: Dataset) -> list[str]:
    rows = selectors.list_datasets().exclude(pk=dataset.pk)
    return [other.address for other in rows[:OTHERS_OFFERED]]


@require_POST
def make_report(request: HttpRequest, address: str) -> HttpResponse:
    """Make a report from the form on the page."""
    dataset = address_or_404(address)
    actor = _operator(request)
    against, length = request.POST.get("against", ""), request.POST.get("sequence_length", "")
    try:
        report = reports.request_report(
            dataset=dataset,
            other=selectors.resolve_dataset(address=against) if against else None,
            sequence_length=int(length) if length.isascii() and length.isdecimal() and len(length) < 9 else 0,
            actor=actor,
        )
    except UserError as error:
        return _page(request, dataset, str(error), status=error.status)
    target = redirect("datasets:quality", dataset.address)
    target.headers["Location"] += f"?report={report.pk}"
    return target


@require_POST
def cancel_report(request: HttpRequest, address: str, report_id: int) -> HttpResponse:
    """Cancel a report that is waiting or being made."""
    dataset = address_or_404(address)
    actor = _operator(request)
    try:
        report = reports.report_by_id(dataset=dataset, report_id=report_id)
        reports.cancel_report(report=report, actor=actor)
    except UserError as error:
        return _page(request, dataset, str(error), status=error.status)
    return redirect("datasets:quality", dataset.address)


def _operator(request: HttpRequest) -> User | None:
    if not covers(user_scope(request.user), "operate"):
        raise PermissionDenied("Making quality reports needs the right “operate”.")
    return request.user if isinstance(request.user, User) else None


@require_safe
def comparison(request: HttpRequest) -> HttpResponse:
    """Show what was added, removed and changed between two datasets.

    Large ones are compared in the queue; until then the page comes anew every two seconds.
    """
    a, b = request.GET.get("a", "").strip(), request.GET.get("b", "").strip()
    context: dict[str, Any] = {
        "a": a,
        "b": b,
        "addresses": [one.address for one in selectors.list_datasets()[:200]],
    }
    if a and b:
        try:
            row = comparison_of(
                a=selectors.resolve_dataset(address=a), b=selectors.resolve_dataset(address=b)
            )
            context |= {"found": row.content, "problem": row.error, "waiting": not row.has_ended}
        except UserError as error:
            context["problem"] = str(error)
    response = render(request, "datasets_app/compare.html", context)
    if context.get("waiting"):
        response.headers["Refresh"] = "2"
    return response
