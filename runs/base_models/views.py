"""The pages of base models: all of them with a form to import, and one with everything known of it."""

from datetime import timedelta

from django.contrib import messages
from django.db.models import Max, Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from runs.base_models.deleting import delete_base
from runs.base_models.forms import ImportForm
from runs.base_models.places import as_size
from runs.base_models.selectors import find_row, list_bases, runs_by_base, runs_of
from runs.base_models.views_finetune import finetune_context
from runs.models import BaseModel, ModelImport
from training import bases
from training.errors import ConfigError
from tunix_site.auth import scope_required
from tunix_site.errors import UserError
from tunix_site.roles import covers, user_scope

LISTED = 200
RUNS_SHOWN = 50
IMPORTS_SHOWN = 5
SHOW_FAILURES_FOR = timedelta(days=1)


@require_GET
@scope_required("read")
def model_list(request: HttpRequest) -> HttpResponse:
    """List all base models with the runs that name them, and the imports that wait, run or failed."""
    return _list(request, ImportForm())


@require_POST
@scope_required("operate")
def import_model(request: HttpRequest) -> HttpResponse:
    """Put an import from the hub into the queue and show the list, or the form with what is wrong."""
    form = ImportForm(request.POST)
    if form.is_valid():
        try:
            row = form.enqueue(request.user)
        except UserError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, f"Import {row.pk} of {row.repository} is in the queue.")
            return redirect("models:list")
    return _list(request, form, status=422)


def _list(request: HttpRequest, form: ImportForm, *, status: int = 200) -> HttpResponse:
    rows = list(list_bases().defer("licence_text")[: LISTED + 1])
    runs = runs_by_base(rows[:LISTED])
    newest: set[str] = set()
    shown = []
    for row in rows[:LISTED]:
        shown.append((row, runs[row.content_hash], row.name in newest))
        newest.add(row.name)
    imports = _imports()
    context = {
        "rows": shown,
        "more": len(rows) > LISTED,
        "listed": LISTED,
        "imports": imports,
        "form": form,
        "may_operate": covers(user_scope(request.user), "operate"),
    }
    response = render(request, "runs/models/list.html", context, status=status)
    if status == 200 and any(one.state in ModelImport.LIVE for one in imports):
        response.headers["Refresh"] = "5"
    return response


def _imports() -> list[ModelImport]:
    """Find the imports that wait or run, and those that failed of late and were not asked for again."""
    asked = ModelImport.objects.order_by().values("repository", "revision")
    last = asked.annotate(newest=Max("id")).values("newest")
    late = Q(created_at__gte=timezone.now() - SHOW_FAILURES_FOR, pk__in=last)
    live = Q(status__in=ModelImport.LIVE)
    failed = Q(status=ModelImport.Status.FAILED) & late
    return list(ModelImport.objects.filter(live | failed)[:IMPORTS_SHOWN])


@require_GET
@scope_required("read")
def detail(request: HttpRequest, address: str) -> HttpResponse:
    """Show everything known of a base model."""
    row = _row(address)
    runs = runs_of(row)
    base, damage = _base(row)
    context = {
        "row": row,
        "shape": base.shape if base else None,
        "damage": damage,
        "runs": list(runs.only("id", "name", "kind", "status", "config")[:RUNS_SHOWN]),
        "run_count": runs.count(),
        "others": list(list_bases().filter(name=row.name).exclude(pk=row.pk)[:10]),
        "may_operate": covers(user_scope(request.user), "operate"),
        "may_delete": covers(user_scope(request.user), "admin"),
        **finetune_context(row, base, user=request.user, card=request.GET.get("card", "")),
    }
    return render(request, "runs/models/detail.html", context)


@require_POST
@scope_required("admin")
def delete(request: HttpRequest, address: str) -> HttpResponse:
    """Delete a base model and show the list, or say what keeps it."""
    row = _row(address)
    try:
        freed = delete_base(row, actor=request.user)
    except UserError as error:
        messages.error(request, str(error))
        return redirect(row)
    messages.success(request, f"{row.reference} is deleted; {as_size(freed)} are free again.")
    return redirect("models:list")


def _row(address: str) -> BaseModel:
    try:
        return find_row(address)
    except UserError as error:
        raise Http404(str(error)) from error


def _base(row: BaseModel) -> tuple[bases.Base | None, str]:
    """Read record and shape out of the model's files; else say why they cannot be read."""
    if not row.is_here:
        return None, ""
    try:
        return bases.read_base(bases.root() / row.content_hash), ""
    except ConfigError as error:
        return None, str(error)
