"""Pages of the queue and of the workers."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from runs.draining import request_drain
from runs.fleet import device_labels, list_workers, queue_board
from runs.models import Worker
from runs.queueing import PRIORITIES
from runs.selectors import live_workers
from runs.verbs import VERBS, offered
from tunix_site.auth import scope_required
from tunix_site.errors import UserError
from tunix_site.roles import covers, user_scope


@require_GET
@scope_required("read")
def queue(request: HttpRequest) -> HttpResponse:
    """Show what waits, in order and why, and what runs on which device."""
    board, scope = queue_board(), user_scope(request.user)
    labels = device_labels(board.leases)
    context = {
        "board": board,
        "more": board.count - len(board.waiting),
        "rows": [(one, {verb.name for verb in offered(one.run, scope=scope)}) for one in board.waiting],
        "leases": [(lease, labels[lease.pk]) for lease in board.leases],
        "may_order": covers(scope, VERBS["move"].scope),
        "has_worker": live_workers().exists(),
        "least": PRIORITIES[0],
        "most": PRIORITIES[1],
    }
    return render(request, "runs/queue.html", context)


@require_GET
@scope_required("read")
def workers(request: HttpRequest) -> HttpResponse:
    """Show the workers with their devices, and what uses them."""
    context = {
        "workers": list_workers(),
        "may_drain": covers(user_scope(request.user), "admin"),
    }
    return render(request, "runs/workers.html", context)


@require_POST
@scope_required("admin")
def drain(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask a worker to leave, then show the workers."""
    worker = get_object_or_404(Worker, pk=pk)
    try:
        request_drain(worker, request.user)
    except UserError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"The worker of {worker.host} takes no further run and stops those it has.")
    return redirect("workers:list")
