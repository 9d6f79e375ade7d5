"""The tab of the log: followed as it grows, searched as a whole, and read at any byte or line."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from runs.run_page import found_run, frame
from tunix_site.auth import scope_required

ATTEMPTS_OFFERED = 200


@require_GET
@scope_required("read")
def logs(request: HttpRequest, run_id: int) -> HttpResponse:
    """Show the log of an attempt."""
    run = found_run(run_id)
    context = {
        **frame(run, user=request.user, tab="logs"),
        "attempts": list(run.attempts.order_by("-number").only("number", "run_id")[:ATTEMPTS_OFFERED]),
    }
    return render(request, "runs/tab_logs.html", context)
