"""REST routes of reproductions: repeat a run, and what came out."""

from datetime import datetime
from typing import Annotated, Any, Literal

from django.http import HttpRequest
from ninja import Router, Schema, Status
from pydantic import ConfigDict, Field

from runs import services
from runs.models import Reproduction
from runs.reproducing import create_reproduction
from runs.selectors import get_run
from runs.verdicts import in_words
from tunix_site.auth import OPERATE, READ, require
from tunix_site.schemas import ERRORS, PositiveId

reproduce_router = Router(tags=["training"])


class ReproduceIn(Schema):
    """How to repeat a run."""

    model_config = ConfigDict(extra="forbid")

    to_step: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = Field(
        default=None, description="default: all steps"
    )
    device: Literal["cpu", "gpu"] | None = Field(
        default=None, description="default: the kind that the run had"
    )


class ReproductionOut(Schema):
    """A reproduction and its verdict."""

    run_id: int
    of: int
    to_step: int | None
    verdict: str = Field(description="pending, identical, differs or not_comparable")
    in_words: str
    identical_until: int | None = Field(description="last step up to which all compared points are equal")
    points_compared: int
    params_hash_equal: bool | None
    first_difference: dict[str, Any]
    metrics: list[dict[str, Any]]
    differences: list[dict[str, Any]]
    created_at: datetime
    finished_at: datetime | None

    @classmethod
    def of_row(cls, row: Reproduction) -> "ReproductionOut":
        """Describe a reproduction."""
        same = set(cls.model_fields) - {"of", "in_words"}
        return cls(of=row.of_id, in_words=in_words(row), **{name: getattr(row, name) for name in same})


@reproduce_router.post(
    "runs/{run_id}/reproduce", response={201: ReproductionOut, **ERRORS}, auth=OPERATE, summary="Reproduce"
)
def reproduce(
    request: HttpRequest, run_id: PositiveId, payload: ReproduceIn | None = None
) -> Status[ReproductionOut]:
    """Queue a run that repeats this one; its verdict stands when it has completed."""
    user, wanted = require(request, "operate").user, payload or ReproduceIn()
    row = create_reproduction(
        get_run(run_id=run_id),
        to_step=wanted.to_step,
        device=wanted.device,
        origin=f"POST /api/training/runs/{run_id}/reproduce",
        actor=user,
    )
    services.enqueue_run(row.run, actor=user)
    return Status(201, ReproductionOut.of_row(row))


@reproduce_router.get(
    "runs/{run_id}/reproductions",
    response={200: list[ReproductionOut], **ERRORS},
    auth=READ,
    summary="Reproductions",
)
def reproductions(request: HttpRequest, run_id: PositiveId) -> list[ReproductionOut]:
    """List the newest 100 repeats of a run with their verdicts, newest first."""
    rows = get_run(run_id=run_id).reproductions.select_related("run").order_by("-id")[:100]
    return [ReproductionOut.of_row(row) for row in rows]
