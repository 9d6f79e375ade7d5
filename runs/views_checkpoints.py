"""Pages that act on checkpoints: pin, evaluate, delete, and fork a new run from one."""

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core.exceptions import BadRequest
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.defaultfilters import filesizeformat
from django.views.decorators.http import require_http_methods, require_POST

from runs import checkpointing
from runs.models import Checkpoint, Run
from runs.states import Kind
from runs.verbs import VERBS, perform
from training.config import TrainConfig
from tunix_site.auth import scope_required
from tunix_site.errors import UserError

MAX_STEP_DIGITS = 10
# Texts that may be longer get room for several lines.
LONG_TEXT = 1000


@dataclass(frozen=True, slots=True)
class ForkField:
    """One field of the recipe: its value in the form, that of the run, and what it means.

    ``is_long``: it may be of several lines.
    """

    name: str
    value: str
    before: str
    about: str
    is_long: bool


@require_POST
@scope_required("operate")
def change(request: HttpRequest, run_id: int, pk: int) -> HttpResponse:
    """Pin, unpin, evaluate or delete a checkpoint, then show its run, or the one that came of it."""
    checkpoint = get_object_or_404(Checkpoint.objects.select_related("run"), pk=pk, run_id=run_id)
    action = request.POST.get("action", "")
    verb = VERBS.get(action)
    try:
        if verb is not None and verb.takes == ("step",):
            done = perform(verb, checkpoint.run, actor=request.user, step=checkpoint.step)
            messages.success(request, done.text)
        elif verb is not None and verb.picks_checkpoint:
            done = perform(
                verb,
                checkpoint.run,
                actor=request.user,
                checkpoint=str(checkpoint.step),
                origin=f"the page of run {run_id}",
            )
            messages.success(request, done.text)
            return redirect(done.run or checkpoint.run)
        elif action == "delete":
            freed = checkpointing.delete(checkpoint, actor=request.user)
            messages.success(request, f"Step {checkpoint.step} is deleted; {filesizeformat(freed)} are free.")
        else:
            raise BadRequest(f"There is no action {action[:40]!r}.")
    except UserError as error:
        messages.error(request, str(error))
    return redirect("runs:checkpoints", run_id=run_id)


@require_http_methods(["GET", "HEAD", "POST"])
@scope_required("operate")
def fork(request: HttpRequest, run_id: int) -> HttpResponse:
    """Show the recipe of a run to be changed, or write the run that goes on from one of its checkpoints."""
    run = get_object_or_404(Run, pk=run_id, kind=Kind.TRAIN)
    given = request.POST if request.method == "POST" else request.GET
    step = given.get("step", "")
    if not step.isdecimal() or len(step) > MAX_STEP_DIGITS:
        raise Http404("A fork needs the step of a checkpoint: ?step=N.")
    fields = [_field(run, name, given) for name in TrainConfig.model_fields]
    error = ""
    if request.method == "POST":
        try:
            made = perform(
                VERBS["fork"],
                run,
                actor=request.user,
                step=int(step),
                changes={one.name: one.value for one in fields if one.value != one.before},
                name=given.get("name", ""),
                start=bool(given.get("start")),
                origin=f"the page of run {run.pk}",
            )
            return redirect(made.run or run)
        except UserError as refused:
            error = str(refused)
    context = {
        "run": run,
        "step": step,
        "fields": fields,
        "error": error,
        "name": given.get("name", run.name),
    }
    return render(request, "runs/fork.html", context)


def _field(run: Run, name: str, given: Any) -> ForkField:
    field = TrainConfig.model_fields[name]
    before = str(run.config.get(name, field.default))
    is_long = any(getattr(one, "max_length", 0) > LONG_TEXT for one in field.metadata)
    # Browsers end lines with a carriage return too, and what nobody touched must stay as it is.
    value = given.get(f"field-{name}", before).replace("\r\n", "\n")
    value = before if value == before else value.strip()
    return ForkField(name, value, before, field.description or "", is_long)
