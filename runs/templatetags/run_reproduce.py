"""The part of a run's page that shows its reproductions, or the verdict of the one that it is."""

from typing import Any

from django import template

from runs.models import Reproduction, Run
from runs.states import Status
from runs.verdicts import in_words

register = template.Library()
SHOWN = 20


@register.inclusion_tag("runs/_reproduce.html", takes_context=True)
def reproduce_section(context: template.Context, run: Run) -> dict[str, Any]:
    """Gather what repeats ``run`` and, where it repeats another one, how that came out."""
    own = Reproduction.objects.select_related("of", "run").filter(run=run).first()
    rows = run.reproductions.select_related("run").order_by("-id")[:SHOWN]
    return {
        "run": run,
        "own": own,
        "own_words": in_words(own) if own else "",
        "others": [(row, in_words(row)) for row in rows],
        "may_reproduce": context.get("may_operate")
        and run.kind == "train"
        and run.status == Status.COMPLETED
        and run.dataset_id is not None,
        "csrf_token": context.get("csrf_token"),
    }
