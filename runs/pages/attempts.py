"""The tab of attempts and events: every start of a run, and everything that happened to it."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from runs.pages.events import run_events
from runs.pages.paging import page_of
from runs.run_page import found_run, frame
from tunix_site.auth import scope_required


@require_GET
@scope_required("read")
def attempts(request: HttpRequest, run_id: int) -> HttpResponse:
    """Show the starts of a run and the audit lines about it, each list newest first."""
    run = found_run(run_id)
    context = {
        **frame(run, user=request.user, tab="attempts"),
        "attempts": page_of(request, run.attempts.order_by("-number")),
        "events": page_of(request, run_events(run), key="events"),
    }
    return render(request, "runs/tab_attempts.html", context)
