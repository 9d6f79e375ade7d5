"""The tab with every curve of a run."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from runs.charts.groups import chart_sections
from runs.metrics.history import overtaken_count
from runs.run_page import found_run, frame
from tunix_site.auth import scope_required


@require_GET
@scope_required("read")
def run_charts(request: HttpRequest, run_id: int) -> HttpResponse:
    """Show all charts of a run; their points come from the API as they scroll into view."""
    run = found_run(run_id)
    sections = chart_sections(run)
    context = {
        **frame(run, user=request.user, tab="charts"),
        "sections": sections,
        "count": sum(len(section.charts) for section in sections),
        "overtaken": overtaken_count(run),
    }
    return render(request, "runs/charts.html", context)
