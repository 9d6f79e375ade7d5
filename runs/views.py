"""Pages of runs and benchmarks. They render what is there; live parts come from the API."""

from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from runs import selectors
from runs.charts.groups import chart_groups
from runs.differences import differences
from runs.models import Benchmark, Run
from runs.presenting import (
    differing_rows,
)
from tunix_site.auth import scope_required

BENCHMARKS_A_PAGE = 50
MAX_COMPARED = 20


@require_GET
@scope_required("read")
def compare(request: HttpRequest) -> HttpResponse:
    """Lay runs side by side: curves over each other, and what differs in config and results."""
    asked = f"{request.GET.get('ids', '')},{request.GET.get('with', '')}"
    texts = [text for text in asked.replace(" ", ",").split(",") if text]
    numbers = dict.fromkeys(int(text) for text in texts if text.isdecimal() and len(text) < 19)
    wanted = list(numbers)[:MAX_COMPARED]
    found = Run.objects.select_related("dataset").in_bulk(wanted)
    runs = [found[pk] for pk in wanted if pk in found]
    selectors.attach_headlines(runs=runs)
    context: dict[str, Any] = {
        "runs": runs,
        "ids": ",".join(str(run.pk) for run in runs),
        "missing": [pk for pk in wanted if pk not in found],
        "rows": differing_rows(runs),
        # Around two runs everything is told; of more, what differs is a table of its own.
        "differences": differences(runs[0].provenance, runs[1].provenance) if len(runs) == 2 else None,
        "charts": chart_groups(None),
    }
    return render(request, "runs/compare.html", context)


@require_GET
@scope_required("read")
def benchmark_list(request: HttpRequest) -> HttpResponse:
    """List benchmarks, newest first."""
    rows = Benchmark.objects.select_related("run").order_by("-id")
    page = Paginator(rows, BENCHMARKS_A_PAGE).get_page(request.GET.get("page"))
    return render(request, "runs/benchmarks.html", {"page": page})
