"""The pages of benchmarks: the list, one, and two beside each other."""

from typing import Any, Final

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from runs.benchmarks import compare_rows
from runs.benchmarks.drawing import TREND_HEIGHT, WIDTH, step_parts, trend
from runs.benchmarks.profiles import find_profile
from runs.benchmarks.selectors import (
    choices,
    get_benchmark,
    list_benchmarks,
    repeats_of,
    same_recipe,
)
from runs.benchmarks.telling import other_recipe
from runs.models import Benchmark
from tunix_site.auth import scope_required
from tunix_site.errors import NotFoundError

BENCHMARKS_A_PAGE: Final = 50
SHOWN_FILTERS: Final = {"model": "Model", "device_name": "Device", "precision": "Precision", "name": "Name"}
# What a comparison lays side by side: label, and where the record has it.
COMPARED: Final = (
    ("Median step", "step_time.median", "s"),
    ("Slowest tenth begins at", "step_time.p90", "s"),
    ("Tokens a second", "tokens_per_second", "tokens/s"),
    ("Tokens a second with padding", "padded_tokens_per_second", "tokens/s"),
    ("Share of the product peak measured", "limits.share_of_measured_peak", "share"),
    ("Compile", "compile_s", "s"),
    ("First step", "first_step_s", "s"),
    ("Generated tokens a second", "generation.tokens_per_second", "tokens/s"),
    ("Peak memory of the process", "memory.host_peak", "bytes"),
    ("Peak memory of the device", "memory.device_peak", "bytes"),
    ("Energy a step", "energy.joules_per_step", "J"),
)


@require_GET
@scope_required("read")
def benchmark_list(request: HttpRequest) -> HttpResponse:
    """List benchmarks, newest first, filtered; of one recipe and device also as a trend."""
    filters = {name: request.GET.get(name, "")[:300] for name in (*SHOWN_FILTERS, "recipe", "group")}
    rows = list_benchmarks(**filters).select_related("run")
    page = Paginator(rows, BENCHMARKS_A_PAGE).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "filters": [(name, label, choices(name), filters[name]) for name, label in SHOWN_FILTERS.items()],
        "filtered": any(filters.values()),
        "recipe": filters["recipe"],
        "group": filters["group"],
    }
    return render(request, "runs/benchmarks.html", context)


@require_GET
@scope_required("read")
def benchmark_detail(request: HttpRequest, number: int) -> HttpResponse:
    """Show one benchmark: what was measured, where a step's time goes, and what limits it."""
    row = _found(number)
    same = same_recipe(row)
    context = {
        "row": row,
        "record": row.record,
        "parts": step_parts(row.record),
        "repeats": repeats_of(row),
        "trend": trend(same),
        "earlier": [one for one in reversed(same) if one.pk < row.pk][:1],
        "profile": find_profile(row.run),
        "width": WIDTH,
        "trend_height": TREND_HEIGHT,
    }
    return render(request, "runs/benchmark.html", context)


@require_GET
@scope_required("read")
def benchmark_compare(request: HttpRequest) -> HttpResponse:
    """Lay two benchmarks side by side, with their repeats, and say whether one is slower."""
    numbers = [text.strip() for text in request.GET.get("ids", "").split(",") if text.strip()]
    chosen = [_found(int(text)) for text in numbers[:2] if text.isdecimal() and len(text) < 19]
    context: dict[str, Any] = {"rows": chosen, "asked": ",".join(numbers)}
    if len(chosen) == 2 and not any(row.failure for row in chosen):
        before, after = chosen
        context |= {
            "before": before,
            "after": after,
            "found": compare_rows(repeats_of(after), repeats_of(before)),
            "other_device": before.device_name != after.device_name,
            "differences": list(other_recipe(after, before)),
            "facts": _side_by_side(before, after),
        }
    return render(request, "runs/benchmark_compare.html", context)


def _side_by_side(before: Benchmark, after: Benchmark) -> list[tuple[str, Any, Any, str, float | None]]:
    rows = []
    for label, path, unit in COMPARED:
        old, new = _at(before.record, path), _at(after.record, path)
        if old is not None or new is not None:
            rows.append((label, old, new, unit, new / old if old and new is not None else None))
    return rows


def _at(record: dict[str, Any], path: str) -> Any:
    value: Any = record
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _found(number: int) -> Benchmark:
    try:
        return get_benchmark(number)
    except NotFoundError as error:
        raise Http404(str(error)) from error
