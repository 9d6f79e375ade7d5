"""The page of one import: how far it is, what came of it, and the way to cancel it."""

from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from datasets_app.imports import previews, queue
from datasets_app.imports.rejects import REJECTS, folder_of
from tunix_site.auth import scope_required
from tunix_site.errors import ConflictError, NotFoundError, UserError
from tunix_site.roles import covers, user_scope

LINES_SHOWN = 20


@require_safe
def import_detail(request: HttpRequest, import_id: int) -> HttpResponse:
    """Show an import; while it lives the page comes anew every two seconds."""
    try:
        row = queue.import_named(import_id=import_id)
    except NotFoundError as error:
        raise Http404(str(error)) from error
    waits = row.status == row.Status.PREVIEWED
    operates = covers(user_scope(request.user), "operate")
    context = {
        "row": row,
        "status": "lost" if row.is_silent else row.status,
        "may_cancel": (row.is_live or waits) and operates,
        "may_confirm": waits and operates,
        "keeps_going": bool(row.request.get("keep_going")),
        "has_rejects": (folder_of(row.pk) / REJECTS).is_file(),
        "rejects_url": f"/api/datasets/import/{row.pk}/rejects.jsonl",
    }
    response = render(request, "datasets_app/import.html", context)
    if row.is_live and not row.is_silent:
        response.headers["Refresh"] = "2"
    return response


@require_POST
@scope_required("operate")
def cancel(request: HttpRequest, import_id: int) -> HttpResponse:
    """Cancel an import and show it again."""
    actor = request.user if isinstance(request.user, User) else None
    try:
        queue.cancel_import(import_id=import_id, actor=actor)
    except NotFoundError as error:
        raise Http404(str(error)) from error
    except ConflictError:
        pass  # it ended meanwhile, as the page will show
    return redirect("datasets:import", import_id)


@require_POST
@scope_required("operate")
def confirm(request: HttpRequest, import_id: int) -> HttpResponse:
    """Import what was looked at, and show how it goes."""
    actor = request.user if isinstance(request.user, User) else None
    keep_going = True if request.POST.get("keep_going") else None
    try:
        previews.confirm(import_id=import_id, keep_going=keep_going, actor=actor)
    except NotFoundError as error:
        raise Http404(str(error)) from error
    except UserError:
        pass  # its page says why
    return redirect("datasets:import", import_id)
