"""The button that repeats a run."""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from runs import services
from runs.reproducing import create_reproduction
from runs.selectors import get_run
from tunix_site.auth import scope_required
from tunix_site.errors import NotFoundError, UserError


@require_POST
@scope_required("operate")
def reproduce(request: HttpRequest, run_id: int) -> HttpResponse:
    """Queue a run that repeats this one, then show it."""
    try:
        run = get_run(run_id=run_id)
    except NotFoundError as error:
        raise Http404(str(error)) from error
    try:
        row = create_reproduction(run, origin="the page of the run", actor=request.user)
        services.enqueue_run(row.run, actor=request.user)
    except UserError as error:
        messages.error(request, str(error))
        return redirect("runs:recipe", run_id=run_id)
    messages.success(request, f"Run {row.run_id} repeats run {run_id}.")
    return redirect("runs:detail", run_id=row.run_id)
