"""REST routes of the list of runs: how many runs stand just now, and tags."""

import hashlib
import json
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Query, Router, Schema
from pydantic import ConfigDict, Field

from runs.listing.cells import eta_seconds
from runs.listing.columns import seconds_taken
from runs.listing.organising import change_tags
from runs.listing.search import search_runs
from runs.models import Run
from runs.schemas import RunOut
from runs.selectors import get_run
from runs.waiting import waiting_reasons
from tunix_site.auth import OPERATE, READ, require
from tunix_site.errors import InvalidInputError
from tunix_site.schemas import ERRORS, MAX_ROW_ID, PositiveId

router = Router(tags=["training"])

MOST_RUNS = 200
MOST_NEW = 100
STATES = "status", "step", "total_steps", "last_loss", "tokens_per_second"


class StateOut(Schema):
    """What changes of a run while it is looked at."""

    id: int
    status: str
    step: int
    total_steps: int
    alive: bool = Field(description="whether it will still change by itself")
    waiting: str = Field(description="why it does not run yet; empty: it is not queued")
    eta_seconds: float | None
    duration_seconds: float | None
    last_loss: float | None
    tokens_per_second: float | None
    accuracy: float | None = Field(description="right answers of its best evaluation, as a share")
    evaluation_step: int | None
    evaluation_n: int | None
    interval: tuple[float, float] | None


class StatesOut(Schema):
    """States of several runs; without ``runs`` where nothing has changed since ``cursor``."""

    cursor: str
    new: int = Field(description=f"runs that fit and are newer than asked about, at most {MOST_NEW}")
    runs: list[StateOut]


@router.get("runs/states", response={200: StatesOut, **ERRORS}, auth=READ, summary="States of many runs")
def states(
    request: HttpRequest,
    ids: Annotated[str, Query(max_length=4200, description="numbers of runs between commas, at most 200")],
    after: Annotated[str, Query(max_length=40, description="cursor of an earlier answer")] = "",
    q: Annotated[str, Query(max_length=2000, description="count new runs that fit this search")] = "",
    newer_than: Annotated[
        int | None, Query(ge=0, le=MAX_ROW_ID, description="count runs with a higher number; empty: none")
    ] = None,
) -> StatesOut:
    """Tell how runs stand, in one short answer for a list that keeps itself current."""
    numbers = _numbers(ids)
    rows = Run.objects.filter(pk__in=numbers).select_related("best_evaluation")
    runs = list(rows.only(*_SHOWN).order_by("pk"))
    waiting = waiting_reasons(runs)
    found = [_state(run, waiting.get(run.pk, "")) for run in runs]
    new = 0
    if newer_than is not None:
        new = search_runs(q, user=require(request, "read").user).filter(pk__gt=newer_than)[:MOST_NEW].count()
    # How long a run has taken changes by itself, and the page counts that on its own.
    told = [one.model_dump(exclude={"duration_seconds", "eta_seconds"}) for one in found]
    digest = hashlib.sha256(json.dumps([told, new]).encode()).hexdigest()[:16]
    return StatesOut(cursor=digest, new=new, runs=[] if after == digest else found)


_SHOWN = (
    "status", "step", "total_steps", "last_loss", "tokens_per_second", "step_seconds", "started_at",
    "finished_at", "reason", "restarts", "assigned_to", "not_before", "store", "device_kind", "device_pinned",
    "device_index", "device_uuid", "device_name", "host", "best_evaluation__answer_accuracy",
    "best_evaluation__step", "best_evaluation__n", "best_evaluation__interval_low",
    "best_evaluation__interval_high",
)  # fmt: skip


def _numbers(text: str) -> list[int]:
    words = [word for word in text.split(",") if word]
    numbers = [int(word) for word in words if word.isascii() and word.isdecimal() and len(word) <= 18]
    if len(numbers) != len(words) or len(numbers) > MOST_RUNS:
        raise InvalidInputError(f"ids: write numbers of runs between commas, at most {MOST_RUNS}.")
    return numbers


def _state(run: Run, waiting: str) -> StateOut:
    row = run.best_evaluation
    facts: dict[str, Any] = {name: getattr(run, name) for name in STATES}
    return StateOut(
        id=run.pk,
        alive=run.is_alive,
        waiting=waiting,
        eta_seconds=eta_seconds(run),
        duration_seconds=seconds_taken(run),
        accuracy=row.answer_accuracy if row else None,
        evaluation_step=row.step if row else None,
        evaluation_n=row.n if row else None,
        interval=(row.interval_low, row.interval_high) if row else None,
        **facts,
    )


class TagsIn(Schema):
    """Tags to put on a run, and to take off it."""

    model_config = ConfigDict(extra="forbid")

    add: list[Annotated[str, Field(min_length=1, max_length=40)]] = Field(default_factory=list, max_length=50)
    remove: list[Annotated[str, Field(min_length=1, max_length=40)]] = Field(
        default_factory=list, max_length=50
    )


@router.post("runs/{run_id}/tags", response={200: RunOut, **ERRORS}, auth=OPERATE, summary="Tags")
def tags(request: HttpRequest, run_id: PositiveId, payload: TagsIn) -> RunOut:
    """Put tags on a run and take others off."""
    user = require(request, "operate").user
    run = change_tags(get_run(run_id=run_id), add=payload.add, remove=payload.remove, actor=user)
    return RunOut.of(run)
