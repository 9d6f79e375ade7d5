"""Forms that act on a run with the verbs of `runs.verbs`."""

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core.exceptions import BadRequest, PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from runs.doing import Outcome
from runs.models import Run
from runs.run_page import found_run
from runs.verb_forms import read_needs
from runs.verbs import VERBS, Verb, perform
from tunix_site.auth import scope_required
from tunix_site.errors import InvalidInputError, UserError
from tunix_site.roles import covers, user_scope

# Pages to return to, by what a form names.
BACK = {"queue": "runs:queue", "list": "runs:list"}


@dataclass(frozen=True, slots=True)
class Asked:
    """What a form asks for."""

    verb: Verb
    arguments: dict[str, Any]


def read_verb(request: HttpRequest) -> Asked:
    """Read the verb of a form and its arguments.

    Raises:
        BadRequest: for a verb or a value that there is not.
        PermissionDenied: for a verb that this person may not use.
    """
    name = request.POST.get("action", "")
    verb = VERBS.get(name)
    if verb is None or verb.of_checkpoint:
        raise BadRequest(f"There is no action {name[:40]!r}.")
    if not covers(user_scope(request.user), verb.scope):
        raise PermissionDenied(f"This needs the right “{verb.scope}”. Ask an administrator for it.")
    try:
        return Asked(verb, read_needs(verb, request.POST))
    except InvalidInputError as error:
        raise BadRequest(str(error)) from error


@require_POST
@scope_required("operate")
def act(request: HttpRequest, run_id: int) -> HttpResponse:
    """Do something to a run, then show it, or the run that came of it."""
    run = found_run(run_id)
    asked = read_verb(request)
    if asked.verb.is_dangerous and request.POST.get("confirmed") != "1":
        return _ask(request, asked, [run], back="run")
    outcome = _do(request, asked, run)
    back = BACK.get(request.POST.get("next", ""))
    if back is not None:
        return redirect(back)
    shown = run if outcome is None else outcome.run
    return redirect("runs:list") if shown is None else redirect("runs:detail", run_id=shown.pk)


def _do(request: HttpRequest, asked: Asked, run: Run) -> Outcome | None:
    try:
        outcome = perform(asked.verb, run, actor=request.user, **asked.arguments)
    except UserError as error:
        messages.error(request, str(error))
        return None
    messages.success(request, outcome.text)
    return outcome


def _ask(request: HttpRequest, asked: Asked, runs: list[Run], *, back: str) -> HttpResponse:
    """Ask whether it is really meant, naming what would be lost."""
    context = {"verb": asked.verb, "runs": runs, "arguments": asked.arguments, "back": back}
    return render(request, "runs/confirm.html", context)
