"""REST route of what is marked in the charts of a run."""

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import Field

from runs.charts.marks import Mark, read_marks
from runs.selectors import get_run
from tunix_site.auth import READ
from tunix_site.schemas import ERRORS, PositiveId

charts_router = Router(tags=["training"])


class MarkOut(Schema):
    """Something that happened at a step."""

    step: int
    time: float = Field(description="Unix seconds")
    text: str

    @classmethod
    def of(cls, mark: Mark) -> "MarkOut":
        """Describe a mark."""
        return cls(step=mark.step, time=mark.time, text=mark.text)


class MarksOut(Schema):
    """What charts mark of a run, each list by step, without what later attempts have overtaken."""

    run_id: int
    started_at: float | None = Field(description="start of the first attempt, Unix seconds; null: none yet")
    checkpoints: list[MarkOut]
    resumes: list[MarkOut]
    evaluations: list[MarkOut]
    left_out: int = Field(description="older ones that are not listed: each list holds the newest 1000")


@charts_router.get("runs/{run_id}/marks", response={200: MarksOut, **ERRORS}, auth=READ, summary="Marks")
def marks(request: HttpRequest, run_id: PositiveId) -> MarksOut:
    """List the checkpoints, resumes and evaluations of a run for its charts."""
    run = get_run(run_id=run_id)
    found = read_marks(run)
    return MarksOut(
        run_id=run.pk,
        started_at=found.started_at,
        checkpoints=[MarkOut.of(mark) for mark in found.checkpoints],
        resumes=[MarkOut.of(mark) for mark in found.resumes],
        evaluations=[MarkOut.of(mark) for mark in found.evaluations],
        left_out=found.left_out,
    )
