"""The tab of the system: device and host of a run, how the engine ran, and how it came through the queue."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from runs.benchmarks.profiles import find_profile
from runs.charts.groups import SYSTEM_CHARTS, charts_there
from runs.engine import engine_facts
from runs.models import DeviceLease, Run
from runs.run_page import found_run, frame
from runs.templatetags.run_format import span
from tunix_site.auth import scope_required


@require_GET
@scope_required("read")
def system(request: HttpRequest, run_id: int) -> HttpResponse:
    """Show where a run ran, what it took of the machine, and how the engine ran."""
    run = found_run(run_id)
    context = {
        **frame(run, user=request.user, tab="system"),
        "charts": charts_there(run, SYSTEM_CHARTS),
        "engine": engine_facts(run),
        "newest": run.attempts.order_by("-number").first(),
        "waited": _waited(run),
        "profile": find_profile(run),
        "lease": DeviceLease.objects.filter(run=run).first(),
    }
    return render(request, "runs/tab_system.html", context)


def _waited(run: Run) -> str:
    """Say how long its newest start lay in the queue."""
    if run.queued_at is None or run.started_at is None or run.started_at < run.queued_at:
        return ""
    return span(run.started_at - run.queued_at)
