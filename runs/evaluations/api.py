"""REST routes of evaluations: ask for one, one in full, its texts."""

from typing import Annotated

from django.http import HttpRequest
from ninja import Query, Router, Status

from runs.evaluations.choosing import ChoiceName, texts_of
from runs.evaluations.schemas import EvaluateIn, EvaluationDetailOut, EvaluationSampleListOut
from runs.models import Evaluation
from runs.samples.schemas import SampleOut
from runs.schemas import RunDetailOut
from runs.selectors import get_run
from runs.verbs import VERBS, perform
from tunix_site.auth import OPERATE, READ, require
from tunix_site.errors import NotFoundError
from tunix_site.schemas import ERRORS, Limit, Offset, PositiveId

evaluations_router = Router(tags=["training"])
DrawNumber = Annotated[int | None, Query(ge=0, le=1024, description="only the texts of this number")]


@evaluations_router.post(
    "runs/{run_id}/evaluate", response={201: RunDetailOut, **ERRORS}, auth=OPERATE, summary="Evaluate"
)
def evaluate_run(
    request: HttpRequest, run_id: PositiveId, payload: EvaluateIn | None = None
) -> Status[RunDetailOut]:
    """Queue a run that grades a checkpoint of this one on held-out traces; gives that run."""
    user = require(request, VERBS["evaluate"].scope).user
    outcome = perform(
        VERBS["evaluate"],
        get_run(run_id=run_id),
        actor=user,
        origin=f"POST /api/training/runs/{run_id}/evaluate",
        **(payload or EvaluateIn()).arguments(),
    )
    return Status(201, RunDetailOut.of(outcome.run or get_run(run_id=run_id)))


@evaluations_router.get(
    "evaluations/{number}",
    response={200: EvaluationDetailOut, **ERRORS},
    auth=READ,
    summary="One evaluation",
)
def evaluation(request: HttpRequest, number: PositiveId) -> EvaluationDetailOut:
    """Give an evaluation with its settings, figures, checks, and whether it repeats an earlier one."""
    return EvaluationDetailOut.of_row(_found(number))


@evaluations_router.get(
    "evaluations/{number}/samples",
    response={200: EvaluationSampleListOut, **ERRORS},
    auth=READ,
    summary="Texts of an evaluation",
)
def evaluation_texts(
    request: HttpRequest,
    number: PositiveId,
    filter: Annotated[ChoiceName, Query(description="by the verdict on the text")] = "all",
    draw: DrawNumber = None,
    limit: Limit = 50,
    offset: Offset = 0,
) -> EvaluationSampleListOut:
    """List the texts of an evaluation, prompt by prompt, with all draws of each."""
    rows = texts_of(_found(number), filter)
    if draw is not None:
        rows = rows.filter(draw=draw)
    items = [SampleOut.of(row) for row in rows[offset : offset + limit]]
    return EvaluationSampleListOut(evaluation_id=number, items=items, count=rows.count())


def _found(number: int) -> Evaluation:
    rows = Evaluation.objects.select_related("dataset", "checkpoint", "made_by", "run")
    row = rows.filter(pk=number).first()
    if row is None:
        raise NotFoundError(f"There is no evaluation {number}.")
    return row
