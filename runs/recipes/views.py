"""The page of the recipes that come with the project, and their button."""

from dataclasses import dataclass

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from runs.models import Run
from runs.recipes.figures import Measured, measure
from runs.recipes.files import Recipe
from runs.recipes.shipped import newest_runs, shipped, start
from tunix_site.auth import scope_required
from tunix_site.errors import UserError
from tunix_site.roles import covers, user_scope


@dataclass(frozen=True, slots=True)
class Shown:
    """A recipe with its newest trainings, each with its figures beside the expected ones."""

    name: str
    recipe: Recipe
    runs: list[tuple[Run, list[Measured]]]


@require_GET
@scope_required("read")
def recipes(request: HttpRequest) -> HttpResponse:
    """List the shipped recipes: what each shows, what is expected, and what came of it here."""
    known = shipped()
    runs = newest_runs(known)
    rows = [
        Shown(name, recipe, [(run, measure(run)) for run in runs[name]]) for name, recipe in known.items()
    ]
    may = covers(user_scope(request.user), "operate")
    return render(request, "runs/recipes.html", {"rows": rows, "may_operate": may})


@require_POST
@scope_required("operate")
def train(request: HttpRequest, name: str) -> HttpResponse:
    """Queue a training of a recipe, then show it."""
    try:
        device = request.POST.get("device") or None
        run = start(name, device=device, origin="the page of recipes", actor=request.user)
    except UserError as error:
        messages.error(request, str(error))
        return redirect("recipes:list")
    messages.success(request, f"Run {run.pk} trains the recipe {name}.")
    return redirect("runs:detail", run_id=run.pk)
