"""The form of a checkpoint that points a name at it, or lets one go."""

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST

from runs.models import Checkpoint
from runs.promotion.moving import let_go, promote
from runs.promotion.names import scope_of
from tunix_site.auth import scope_required
from tunix_site.errors import UserError
from tunix_site.roles import covers, user_scope


@require_POST
@scope_required("operate")
def change(request: HttpRequest, run_id: int) -> HttpResponse:
    """Promote a checkpoint of a run or let a name of it go, then show its checkpoints."""
    step = request.POST.get("step", "")
    override = request.POST.get("override") == "1"
    if override and not covers(user_scope(request.user), "admin"):
        raise PermissionDenied("Going over the rule of a name needs the right “admin”.")
    name, why = request.POST.get("name", "").strip(), request.POST.get("why", "")
    try:
        if request.POST.get("action") == "let_go":
            scope, _, word = name.rpartition(":")
            moved = let_go(name=word, scope=scope, why=why, actor=request.user)
        else:
            rows = Checkpoint.objects.select_related("run__dataset").filter(superseded=False)
            pk = int(step) if step.isascii() and step.isdecimal() and len(step) < 19 else 0
            checkpoint = get_object_or_404(rows, pk=pk, run_id=run_id)
            scope = scope_of(checkpoint.run, request.POST.get("scope", "").strip())
            moved = promote(
                checkpoint, name=name, scope=scope, why=why, actor=request.user, override=override
            )
    except UserError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, moved.text)
    return redirect("runs:checkpoints", run_id=run_id)
