"""REST routes that change a run, or make a new one from it."""

from typing import Any

from django.http import HttpRequest
from ninja import Router, Schema, Status
from pydantic import ConfigDict, Field

from runs import services
from runs.forking import clone_run as clone
from runs.forking import fork_run
from runs.schemas import RunDetailOut, RunOut, StepNumber
from runs.selectors import get_run
from tunix_site.auth import OPERATE, require
from tunix_site.schemas import ERRORS, PositiveId

actions_router = Router(tags=["training"])


class ResumeIn(Schema):
    """How an interrupted run is taken up."""

    model_config = ConfigDict(extra="forbid")

    allow_inexact: bool = Field(False, description="also where that does not give the same bits")


class CloneIn(Schema):
    """What is to be other in a clone."""

    model_config = ConfigDict(extra="forbid")

    changes: dict[str, Any] = Field(
        default_factory=dict, max_length=100, description="fields of the training config"
    )
    name: str = Field(default="", max_length=300)


class ForkIn(CloneIn):
    """A new run from a checkpoint."""

    step: StepNumber = Field(description="the checkpoint's step")
    start: bool = Field(True, description="false: leave it a draft")


@actions_router.post("runs/{run_id}/stop", response={200: RunOut, **ERRORS}, auth=OPERATE, summary="Stop")
def stop_run(request: HttpRequest, run_id: PositiveId) -> RunOut:
    """Ask a run to stop: a training saves a checkpoint first."""
    return RunOut.of(services.request_stop(get_run(run_id=run_id), actor=require(request, "operate").user))


@actions_router.post(
    "runs/{run_id}/start", response={200: RunOut, **ERRORS}, auth=OPERATE, summary="Start a draft"
)
def start_run(request: HttpRequest, run_id: PositiveId) -> RunOut:
    """Put a draft into the queue."""
    return RunOut.of(services.start_draft(get_run(run_id=run_id), actor=require(request, "operate").user))


@actions_router.post("runs/{run_id}/resume", response={200: RunOut, **ERRORS}, auth=OPERATE, summary="Resume")
def resume_run(request: HttpRequest, run_id: PositiveId, payload: ResumeIn | None = None) -> RunOut:
    """Queue an interrupted training again, from its newest sound checkpoint."""
    user = require(request, "operate").user
    allow = payload is not None and payload.allow_inexact
    return RunOut.of(services.resume_run(get_run(run_id=run_id), actor=user, allow_inexact=allow))


@actions_router.post("runs/{run_id}/clone", response={201: RunOut, **ERRORS}, auth=OPERATE, summary="Clone")
def clone_run(request: HttpRequest, run_id: PositiveId, payload: CloneIn | None = None) -> Status[RunOut]:
    """Write a new draft with the recipe of a run, or with some fields changed."""
    user, wanted = require(request, "operate").user, payload or CloneIn()
    return Status(
        201, RunOut.of(clone(get_run(run_id=run_id), changes=wanted.changes, name=wanted.name, actor=user))
    )


@actions_router.post(
    "runs/{run_id}/fork", response={201: RunDetailOut, **ERRORS}, auth=OPERATE, summary="Fork"
)
def fork(request: HttpRequest, run_id: PositiveId, payload: ForkIn) -> Status[RunDetailOut]:
    """Start a new run from a checkpoint of this one, with some fields of the recipe changed."""
    user = require(request, "operate").user
    run = fork_run(
        get_run(run_id=run_id),
        step=payload.step,
        changes=payload.changes,
        name=payload.name,
        actor=user,
        origin=f"POST /api/training/runs/{run_id}/fork",
    )
    if payload.start:
        services.enqueue_run(run, actor=user)
    return Status(201, RunDetailOut.of(run))
