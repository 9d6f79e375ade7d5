"""REST routes of runs, benchmarks and devices."""

from typing import Annotated

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Status

from datasets_app.selectors import resolve_dataset
from runs import selectors, services
from runs.creating import create_run
from runs.devices import resolve_device
from runs.inventory import inventory
from runs.listing.address import ordering
from runs.listing.page import with_short_facts
from runs.listing.search import search_condition
from runs.logs import read_log
from runs.models import Run
from runs.recipes.files import write_recipe
from runs.schemas import (
    AttemptOut,
    CheckpointOut,
    EvaluationOut,
    LogOut,
    RunDetailOut,
    RunIn,
    RunListOut,
    RunOut,
)
from runs.schemas_devices import DevicesOut
from runs.states import Kind
from runs.states import Status as RunStatus
from runs.waiting import waiting_reasons
from tunix_site.auth import OPERATE, READ, require
from tunix_site.schemas import ERRORS, Limit, Offset, PositiveId

training_router = Router(tags=["training"])
devices_router = Router(tags=["devices"])

LogPosition = Annotated[
    int | None, Query(ge=0, le=2**53, description="absolute byte to start at; empty: the last piece")
]
MAX_ROWS = 10_000


def _run(run_id: int) -> Run:
    return selectors.get_run(run_id=run_id)


@devices_router.get("", response={200: DevicesOut, **ERRORS}, auth=READ, summary="Devices")
def devices(request: HttpRequest) -> dict[str, object]:
    """List the devices of the server's machine, and those that workers of other machines saw."""
    return inventory()


@training_router.get("runs", response={200: RunListOut, **ERRORS}, auth=READ, summary="List runs")
def list_runs(
    request: HttpRequest,
    status: RunStatus | None = None,
    kind: Kind | None = None,
    dataset: Annotated[str, Query(max_length=200)] = "",
    q: Annotated[
        str, Query(max_length=2000, description="a search as on the page of runs: `status:running lr<1e-3`")
    ] = "",
    sort: Annotated[
        str, Query(max_length=200, description="columns between commas, `-` for the largest first")
    ] = "",
    limit: Limit = 50,
    offset: Offset = 0,
) -> RunListOut:
    """List runs, newest first; with a search those that fit it, and archived ones only where it says so."""
    rows = selectors.list_runs(status=status, kind=kind, dataset=dataset)
    if q:
        rows = rows.filter(search_condition(q, user=require(request, "read").user))
    if sort:
        rows = rows.order_by(*ordering(sort))
    page = list(with_short_facts(rows)[offset : offset + limit])
    waiting = waiting_reasons(page)
    return RunListOut(
        items=[RunOut.of(run, waiting=waiting.get(run.pk, "")) for run in page], count=rows.count()
    )


@training_router.post(
    "runs", response={201: RunDetailOut, **ERRORS}, auth=OPERATE, summary="Start a training"
)
def start_training(request: HttpRequest, payload: RunIn) -> Status[RunDetailOut]:
    """Write a run with a frozen config and, unless ``start`` is false, put it into the queue."""
    user = require(request, "operate").user
    dataset = resolve_dataset(address=payload.dataset)
    run = create_run(
        kind=Kind.TRAIN,
        config=payload.config,
        device=resolve_device(kind=payload.device, index=payload.device_index),
        dataset=dataset,
        total_steps=payload.config.steps,
        name=payload.name,
        priority=payload.priority,
        origin="POST /api/training/runs",
        actor=user,
    )
    if payload.start:
        services.enqueue_run(run, actor=user)
    return Status(201, RunDetailOut.of(run))


@training_router.get("runs/{run_id}", response={200: RunDetailOut, **ERRORS}, auth=READ, summary="One run")
def get_run(request: HttpRequest, run_id: PositiveId) -> RunDetailOut:
    """Give a run with its config, result and provenance."""
    return RunDetailOut.of(_run(run_id))


@training_router.get("runs/{run_id}/recipe", response={200: str, **ERRORS}, auth=READ, summary="Recipe file")
def recipe(request: HttpRequest, run_id: PositiveId) -> HttpResponse:
    """Give the recipe of a training as TOML, for `train --recipe FILE`."""
    run = _run(run_id)
    response = HttpResponse(write_recipe(run), content_type="application/toml; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="run-{run.pk}.toml"'
    return response


@training_router.get(
    "runs/{run_id}/checkpoints",
    response={200: list[CheckpointOut], **ERRORS},
    auth=READ,
    summary="Checkpoints",
)
def checkpoints(
    request: HttpRequest,
    run_id: PositiveId,
    superseded: Annotated[bool, Query(description="also overtaken and removed ones")] = False,
) -> list[CheckpointOut]:
    """List the checkpoints of a run that were not removed, newest first."""
    rows = selectors.all_checkpoints if superseded else selectors.live_checkpoints
    return [CheckpointOut.of(row) for row in rows(run=_run(run_id))[:MAX_ROWS]]


@training_router.get(
    "runs/{run_id}/evaluations",
    response={200: list[EvaluationOut], **ERRORS},
    auth=READ,
    summary="Evaluations",
)
def evaluations(
    request: HttpRequest,
    run_id: PositiveId,
    superseded: Annotated[bool, Query(description="also overtaken ones")] = False,
) -> list[EvaluationOut]:
    """List the evaluations of a run's model, by step."""
    rows = selectors.run_evaluations(run=_run(run_id), superseded=superseded)
    return [EvaluationOut.of(row) for row in rows[:MAX_ROWS]]


@training_router.get("runs/{run_id}/logs", response={200: LogOut, **ERRORS}, auth=READ, summary="Log")
def logs(
    request: HttpRequest,
    run_id: PositiveId,
    attempt: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
    offset: LogPosition = None,
    after: LogPosition = None,
    max_bytes: Annotated[int, Query(ge=1, le=1 << 20)] = 1 << 16,
) -> LogOut:
    """Give a piece of an attempt's log (default: the last piece of the newest attempt).

    Positions count the bytes of the whole log, also of what rotation has deleted. ``after`` is the cursor
    of an earlier answer and goes before ``offset``, which means the same.
    """
    run = _run(run_id)
    number = attempt if attempt is not None else run.attempt
    start = offset if after is None else after
    return LogOut.of(run, number, read_log(run=run, attempt=number, offset=start, max_bytes=max_bytes))


@training_router.get(
    "runs/{run_id}/attempts", response={200: list[AttemptOut], **ERRORS}, auth=READ, summary="Attempts"
)
def attempts(request: HttpRequest, run_id: PositiveId) -> list[AttemptOut]:
    """List the starts of a run."""
    return [AttemptOut.of(row) for row in _run(run_id).attempts.all()]
