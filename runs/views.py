"""The page of benchmarks."""

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from runs.models import Benchmark
from tunix_site.auth import scope_required

BENCHMARKS_A_PAGE = 50


@require_GET
@scope_required("read")
def benchmark_list(request: HttpRequest) -> HttpResponse:
    """List benchmarks, newest first."""
    rows = Benchmark.objects.select_related("run").order_by("-id")
    page = Paginator(rows, BENCHMARKS_A_PAGE).get_page(request.GET.get("page"))
    return render(request, "runs/benchmarks.html", {"page": page})
