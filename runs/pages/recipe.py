"""The tab of the recipe: what another machine needs to repeat a run, and how repeats of it came out."""

from dataclasses import dataclass
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from runs.models import Reproduction, Run
from runs.recipes.figures import measure
from runs.recipes.files import verdict_on, write_recipe
from runs.recipes.sources import how_to_get
from runs.run_page import found_run, frame
from runs.states import Kind, Status
from runs.verdicts import in_words
from training.errors import ConfigError
from tunix_site.auth import scope_required
from tunix_site.errors import UserError

SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class RecipeText:
    """The recipe of a run; empty with the reason why there is none."""

    text: str
    why_none: str = ""


@require_GET
@scope_required("read")
def recipe(request: HttpRequest, run_id: int) -> HttpResponse:
    """Show a run's recipe, the commands that repeat it, and the verdicts on its repeats."""
    run = found_run(run_id)
    context = frame(run, user=request.user, tab="recipe")
    context |= {
        "recipe": recipe_text(run),
        "how_to_get": how_to_get(run.dataset) if run.dataset else "",
        "as_expected": verdict_on(run),
        "figures": measure(run),
        **reproductions(run),
        "reproducible": is_reproducible(run),
    }
    return render(request, "runs/tab_recipe.html", context)


def recipe_text(run: Run) -> RecipeText:
    """Write a run's recipe, or say why it has none."""
    try:
        return RecipeText(write_recipe(run))
    except (UserError, ConfigError) as error:
        return RecipeText("", str(error))


def is_reproducible(run: Run) -> bool:
    """Tell whether the run can be trained again to compare every point."""
    return run.kind == Kind.TRAIN and run.status == Status.COMPLETED and run.dataset_id is not None


def reproductions(run: Run) -> dict[str, Any]:
    """Gather what repeats ``run`` and, where it repeats another one, how that came out."""
    own = Reproduction.objects.select_related("of", "run").filter(run=run).first()
    rows = run.reproductions.select_related("run").order_by("-id")[:SHOWN]
    return {
        "own": own,
        "own_words": in_words(own) if own else "",
        "others": [(row, in_words(row)) for row in rows],
    }
