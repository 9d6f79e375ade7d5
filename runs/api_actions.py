"""REST routes that change a run, make a new one from it, or delete it: one for each verb."""

from typing import Annotated, Any, Final

from django.http import HttpRequest
from ninja import Router, Schema, Status
from pydantic import ConfigDict, Field

from runs.api import training_router
from runs.doing import Outcome
from runs.models import Run
from runs.queueing import Where
from runs.schemas import CheckpointOut, Priority, RunDetailOut, RunOut, StepNumber
from runs.selectors import find_checkpoint, get_run
from runs.verbs import VERBS, Verb, perform
from tunix_site.auth import ADMIN, OPERATE, READ, Authenticators, require
from tunix_site.roles import ScopeName
from tunix_site.schemas import ERRORS, PositiveId

actions_router = Router(tags=["training"])

GUARDS: Final[dict[ScopeName, Authenticators]] = {"read": READ, "operate": OPERATE, "admin": ADMIN}
RUN = "runs/{run_id}"


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


class MoveIn(Schema):
    """Where in the queue a waiting run goes."""

    model_config = ConfigDict(extra="forbid")

    where: Where


class PriorityIn(Schema):
    """Before or after which others a run goes."""

    model_config = ConfigDict(extra="forbid")

    priority: Priority


class FreedOut(Schema):
    """What a deletion freed."""

    freed_bytes: Annotated[int, Field(ge=0)]


def _do(request: HttpRequest, run_id: int, word: str, /, **arguments: Any) -> tuple[Run, Outcome]:
    verb = VERBS[word]
    user = require(request, verb.scope).user
    run = get_run(run_id=run_id)
    outcome = perform(verb, run, actor=user, **arguments)
    return outcome.run or run, outcome


def _guard(name: str) -> Authenticators:
    return GUARDS[VERBS[name].scope]


def _add_plain_route(verb: Verb) -> None:
    def act(request: HttpRequest, run_id: PositiveId) -> RunOut:
        run, _ = _do(request, run_id, verb.name)
        return RunOut.of(run)

    act.__doc__ = f"{verb.about.capitalize()}."
    act.__name__ = f"{verb.name}_run"
    actions_router.post(
        f"{RUN}/{verb.name}",
        response={200: RunOut, **ERRORS},
        auth=GUARDS[verb.scope],
        summary=verb.label,
        operation_id=f"run_{verb.name}",
        url_name=f"{verb.name}_run",
    )(act)


@actions_router.post(
    f"{RUN}/resume", response={200: RunOut, **ERRORS}, auth=_guard("resume"), summary="Resume"
)
def resume_run(request: HttpRequest, run_id: PositiveId, payload: ResumeIn | None = None) -> RunOut:
    """Queue an interrupted training again, from its newest sound checkpoint."""
    allow = payload is not None and payload.allow_inexact
    return RunOut.of(_do(request, run_id, "resume", allow_inexact=allow)[0])


@actions_router.post(f"{RUN}/clone", response={201: RunOut, **ERRORS}, auth=_guard("clone"), summary="Clone")
def clone_run(request: HttpRequest, run_id: PositiveId, payload: CloneIn | None = None) -> Status[RunOut]:
    """Write a new draft with the recipe of a run, or with some fields changed."""
    wanted = payload or CloneIn()
    made, _ = _do(request, run_id, "clone", changes=wanted.changes, name=wanted.name)
    return Status(201, RunOut.of(made))


@actions_router.post(
    f"{RUN}/fork", response={201: RunDetailOut, **ERRORS}, auth=_guard("fork"), summary="Fork"
)
def fork(request: HttpRequest, run_id: PositiveId, payload: ForkIn) -> Status[RunDetailOut]:
    """Start a new run from a checkpoint of this one, with some fields of the recipe changed."""
    origin = f"POST /api/training/runs/{run_id}/fork"
    made, _ = _do(request, run_id, "fork", **payload.model_dump(), origin=origin)
    return Status(201, RunDetailOut.of(made))


@actions_router.post(
    f"{RUN}/move", response={200: RunOut, **ERRORS}, auth=_guard("move"), summary="Move within the queue"
)
def move_run(request: HttpRequest, run_id: PositiveId, payload: MoveIn) -> RunOut:
    """Move a waiting run to the front or the end of the queue, or past one neighbour."""
    return RunOut.of(_do(request, run_id, "move", where=payload.where)[0])


@actions_router.post(
    f"{RUN}/priority", response={200: RunOut, **ERRORS}, auth=_guard("priority"), summary="Priority"
)
def set_priority(request: HttpRequest, run_id: PositiveId, payload: PriorityIn) -> RunOut:
    """Let a draft or waiting run go before those of lower priority."""
    return RunOut.of(_do(request, run_id, "priority", priority=payload.priority)[0])


def _add_checkpoint_route(verb: Verb) -> None:
    def act(request: HttpRequest, run_id: PositiveId, step: StepNumber) -> CheckpointOut:
        run, _ = _do(request, run_id, verb.name, step=step)
        return CheckpointOut.of(find_checkpoint(run=run, which=str(step)))

    act.__doc__ = f"{verb.about.capitalize()}."
    act.__name__ = f"{verb.name}_checkpoint"
    actions_router.post(
        f"{RUN}/checkpoints/{{step}}/{verb.name}",
        response={200: CheckpointOut, **ERRORS},
        auth=GUARDS[verb.scope],
        summary=f"{verb.label} a checkpoint",
        operation_id=f"checkpoint_{verb.name}",
        url_name=f"{verb.name}_checkpoint",
    )(act)


# On the router that has the other methods of this address: each answers for an address as a whole.
@training_router.delete(RUN, response={200: FreedOut, **ERRORS}, auth=_guard("delete"), summary="Delete")
def delete_run(request: HttpRequest, run_id: PositiveId) -> FreedOut:
    """Delete a run for good, with its evaluations, curves, checkpoints and logs."""
    return FreedOut(freed_bytes=_do(request, run_id, "delete")[1].freed_bytes or 0)


for _verb in VERBS.values():
    if _verb.of_checkpoint and _verb.takes == ("step",):
        _add_checkpoint_route(_verb)
    elif not _verb.takes and _verb.name != "delete":
        _add_plain_route(_verb)
