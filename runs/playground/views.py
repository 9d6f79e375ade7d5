"""The playground tab of a run: ask, see what is written as it is written, and what was asked before."""

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from runs.models import Generation, Run
from runs.pages.paging import page_of
from runs.playground.asking import LONGEST_ANSWER, LONGEST_CHECKPOINT, LONGEST_PROMPT, ask
from runs.playground.form import Form, offered_checkpoints
from runs.playground.measure import HELD_OUT_SHOWN, find_trace, held_out
from runs.playground.sessions import withdraw
from runs.playground.showing import find_generation, generations_of, read_columns, read_pair
from runs.promotion.offered import offered
from runs.run_page import found_run, frame
from runs.states import Kind
from tunix_site.auth import scope_required
from tunix_site.errors import NotFoundError, TooManyError, UserError
from tunix_site.roles import covers, user_scope

HISTORY = 15
LAST_START = 10_000_000


@require_http_methods(["GET", "HEAD", "POST"])
@scope_required("read")
def playground(request: HttpRequest, run_id: int) -> HttpResponse:
    """Show the form and what was asked before, or ask and lead to what is written."""
    run = found_run(run_id)
    if request.method == "POST":
        return _ask(request, run)
    form = Form()
    trace = find_trace(run.dataset, wanted) if run.dataset and (wanted := request.GET.get("trace")) else None
    return _page(request, run, form.with_trace(trace) if trace else form)


@scope_required("operate")
def _ask(request: HttpRequest, run: Run) -> HttpResponse:
    form = Form.read(request.POST)
    try:
        question = form.question()
        made = ask(question, columns=form.columns(run), actor=request.user, origin="the page")
    except UserError as error:
        status = 429 if isinstance(error, TooManyError) else 422
        return _page(request, run, form, refused=str(error), status=status)
    return redirect("runs:generation", run_id=run.pk, number=made[0].pk)


@require_http_methods(["GET", "HEAD"])
@scope_required("read")
def generation(request: HttpRequest, run_id: int, number: int) -> HttpResponse:
    """Show what was written after one prompt, or is being written.

    With ``seen`` only that part of the page, for its script: empty (204) where it is as it was then.
    """
    run = found_run(run_id)
    row = _found(run, number)
    if row.beside is not None:
        return redirect("runs:generation", run_id=row.beside.run_id, number=row.beside.pk)
    pair = read_pair(row)
    if "seen" in request.GET:
        if request.GET["seen"] == pair.mark:
            return HttpResponse(status=204)
        context = {"run": run, "pair": pair, "may_operate": covers(user_scope(request.user), "operate")}
        return render(request, "runs/_playground_pair.html", context)
    partner = pair.columns[1].row if len(pair.columns) == 2 else None
    return _page(request, run, Form.of(pair.first, partner), pair=pair)


@require_POST
@scope_required("operate")
def stop(request: HttpRequest, run_id: int, number: int) -> HttpResponse:
    """Stop what is being written, both columns of a pair."""
    run = found_run(run_id)
    row = _found(run, number)
    for column in read_pair(row).columns:
        if column.standing.open:
            try:
                withdraw(column.row, actor=request.user)
            except UserError as error:
                messages.error(request, str(error))
    return redirect("runs:generation", run_id=run.pk, number=row.pk)


def _found(run: Run, number: int) -> Generation:
    try:
        return find_generation(run, number)
    except (NotFoundError, OverflowError) as error:
        raise Http404(str(error)) from error


def _page(
    request: HttpRequest, run: Run, form: Form, *, refused: str = "", status: int = 200, **more: Any
) -> HttpResponse:
    context = frame(run, user=request.user, tab="playground")
    page = page_of(request, generations_of(run), size=HISTORY)
    checkpoints = offered_checkpoints(run) if run.kind == Kind.TRAIN else []
    context |= {
        # Nobody's prompt is lost to a page that loads itself again.
        "editing": True,
        "form": form,
        "refused": refused,
        "checkpoints": checkpoints,
        "offered": offered(run, [row.step for row in checkpoints], form.checkpoint) if checkpoints else [],
        "longest_checkpoint": LONGEST_CHECKPOINT,
        "may_ask": context["may_operate"] and bool(checkpoints),
        "longest_prompt": LONGEST_PROMPT,
        "longest_answer": LONGEST_ANSWER,
        "page": page,
        "history": read_columns(list(page.object_list)),
        **_prompts(request, run),
        **more,
    }
    return render(request, "runs/playground.html", context, status=status)


def _prompts(request: HttpRequest, run: Run) -> dict[str, Any]:
    asked = request.GET.get("from", "0")
    start = int(asked) if asked.isascii() and asked.isdecimal() and len(asked) < 9 else 0
    start = min(start, LAST_START)
    # Behind the last one they begin again.
    traces = held_out(run, start=start) or held_out(run)
    more = start + HELD_OUT_SHOWN if len(traces) == HELD_OUT_SHOWN else 0
    return {"held_out": traces, "more_from": more}
