"""The first tab: the numbers that matter, the curves that people look at first, and what is new."""

import json
from typing import Any, Final

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.utils.text import Truncator
from django.views.decorators.http import require_GET

from runs import selectors
from runs.base_models.before_after import before_after
from runs.charts.groups import KEY_CHARTS, Chart, charts_there, imported_charts
from runs.lineage import lineage
from runs.models import Run
from runs.pages.events import newest_events
from runs.pages.generation import generation
from runs.pages.latest import latest_values
from runs.presenting import paired_samples
from runs.run_page import found_run, frame
from runs.states import Kind
from tunix_site.auth import scope_required

SAMPLES_SHOWN: Final = 3
EVENTS_SHOWN: Final = 5
CHILDREN_SHOWN: Final = 20
LOOKED_AT, NOTES_SHOWN = 2000, 120
# What the one long page took in its address, and the tab that takes it now.
MOVED: Final = {"evaluation": "samples", "verdict": "samples", "overtaken": "evaluations"}


@require_GET
@scope_required("read")
def overview(request: HttpRequest, run_id: int) -> HttpResponse:
    """Show what matters of a run."""
    run = found_run(run_id)
    context = frame(run, user=request.user, tab="overview")
    if (moved := _moved(request, context["tab_urls"])) is not None:
        return moved
    headline = selectors.headline_evaluation(run=run)
    peek = (
        selectors.evaluation_samples(evaluation=headline).filter(draw=0)[:SAMPLES_SHOWN] if headline else []
    )
    context |= {
        "charts": _key_charts(run),
        "latest": latest_values(run),
        "notes_begin": notes_begin(run.notes),
        "tags": [tag.name for tag in run.tags.all()],
        "headline": headline,
        "compared": before_after(run),
        "sample_pairs": paired_samples(peek),
        "events": newest_events(run, most=EVENTS_SHOWN),
        "checkpoint": selectors.live_checkpoints(run=run).first(),
        "children": run.children.exclude(kind=Kind.TRAIN).order_by("-id")[:CHILDREN_SHOWN],
        "lineage": lineage(run),
        "generation": generation(run),
        "result_json": json.dumps(run.result, indent=2, ensure_ascii=False) if run.result else "",
    }
    return render(request, "runs/tab_overview.html", context)


def _key_charts(run: Run) -> list[Chart]:
    if run.kind == Kind.IMPORTED:
        return imported_charts(run)
    return charts_there(run, KEY_CHARTS, expected=run.is_alive) if run.kind == Kind.TRAIN else []


def notes_begin(text: str) -> str:
    """Give the first line of the notes that says something, without its marks."""
    lines = (line.strip().strip("#>*-_~ ") for line in text[:LOOKED_AT].splitlines())
    return Truncator(next((line for line in lines if line), "")).chars(NOTES_SHOWN)


def _moved(request: HttpRequest, urls: dict[str, Any]) -> HttpResponseRedirect | None:
    """Lead an address of the one long page to the tab that shows now what it asked for."""
    wanted = next((tab for name, tab in MOVED.items() if request.GET.get(name)), None)
    if wanted is None or wanted not in urls:
        return None
    return redirect(f"{urls[wanted]}?{request.GET.urlencode()}")
