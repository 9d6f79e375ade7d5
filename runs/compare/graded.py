"""The evaluation by which each run is compared."""

from collections.abc import Sequence

from runs.models import Evaluation, Run
from runs.selectors import attach_headlines
from runs.states import Kind


def attach_evaluations(runs: Sequence[Run]) -> None:
    """Give each run as ``run.headline`` the evaluation to compare it by, with two queries for all.

    For a training that is the one that says most about its model; for an evaluation the one it made.
    """
    attach_headlines(runs=list(runs))
    graders = {run.pk: run for run in runs if run.kind == Kind.EVALUATE}
    if not graders:
        return
    made = Evaluation.objects.filter(made_by__in=graders, superseded=False).select_related("dataset")
    for row in made.order_by("step", "id"):
        graders[row.made_by_id].headline = row
