"""Admin actions for runs and checkpoints, one for each verb of `runs.verbs`, on the list and on the form."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin import ActionLocation
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from runs.models import Checkpoint, Run
from runs.queueing import PRIORITIES
from runs.verb_forms import PLACES, read_needs
from runs.verbs import VERBS, Verb, perform
from tunix_site.errors import UserError
from tunix_site.roles import covers, user_scope

EVERYWHERE = [ActionLocation.CHANGE_LIST, ActionLocation.CHANGE_FORM]
type Action = Callable[..., HttpResponse | None]


class VerbPermissions:
    """Who may use which actions: the scopes of people, under the names that the admin asks for."""

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Operators and admins act on runs."""
        return covers(user_scope(request.user), "operate")

    def has_admin_permission(self, request: HttpRequest) -> bool:
        """Admins do what cannot be undone."""
        return covers(user_scope(request.user), "admin")


def _run_action(verb: Verb) -> Action:
    def act(model_admin: Any, request: HttpRequest, runs: QuerySet[Run]) -> HttpResponse | None:
        asks = verb.is_dangerous or bool(verb.needs)
        if asks and request.POST.get("confirmed") != "1":
            return _ask(model_admin, request, verb, runs)
        try:
            arguments = read_needs(verb, request.POST)
        except UserError as error:
            model_admin.message_user(request, str(error), messages.ERROR)
            return None
        for run in runs.order_by("id"):
            _do(model_admin, request, verb, run, **arguments)
        return None

    return _named(verb, act)


def _checkpoint_action(verb: Verb) -> Action:
    def act(model_admin: Any, request: HttpRequest, rows: QuerySet[Checkpoint]) -> None:
        for row in rows.select_related("run").order_by("run", "step"):
            more: dict[str, Any] = {"origin": "the admin"} if "origin" in verb.takes else {}
            more |= {"start": False} if "start" in verb.takes else {}
            which = {"checkpoint": str(row.step)} if verb.picks_checkpoint else {"step": row.step}
            _do(model_admin, request, verb, row.run, **which, **more)

    return _named(verb, act)


def _named(verb: Verb, act: Action) -> Action:
    act.__name__ = verb.name
    act.__doc__ = f"{verb.about.capitalize()}."
    label = f"{verb.label}{'…' if verb.is_dangerous or (verb.needs and not verb.of_checkpoint) else ''}"
    decorate = admin.action(description=label, permissions=[verb.scope], location=EVERYWHERE)
    decorated: Action = decorate(act)
    return decorated


def _do(model_admin: Any, request: HttpRequest, verb: Verb, run: Run, **arguments: Any) -> None:
    try:
        outcome = perform(verb, run, actor=request.user, **arguments)
    except UserError as error:
        model_admin.message_user(request, str(error), messages.ERROR)
    else:
        model_admin.message_user(request, outcome.text, messages.SUCCESS)


def _ask(model_admin: Any, request: HttpRequest, verb: Verb, runs: QuerySet[Run]) -> HttpResponse:
    """Ask whether it is meant, and for what the verb needs; the answer comes back as the same action."""
    sent = {name: values for name, values in request.POST.lists() if name.endswith("action")}
    context = {
        **model_admin.admin_site.each_context(request),
        "title": f"{verb.label}?",
        "verb": verb,
        "runs": runs.order_by("id"),
        "sent": [(name, value) for name, values in sent.items() for value in values],
        "checkbox": ACTION_CHECKBOX_NAME,
        "opts": model_admin.opts,
        "least": PRIORITIES[0],
        "most": PRIORITIES[1],
        "places": PLACES,
    }
    return TemplateResponse(request, "admin/runs/act.html", context)


RUN_ACTIONS = tuple(_run_action(verb) for verb in VERBS.values() if not verb.of_checkpoint)
CHECKPOINT_ACTIONS = tuple(
    _checkpoint_action(verb) for verb in VERBS.values() if verb.of_checkpoint or verb.picks_checkpoint
)
