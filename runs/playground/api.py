"""REST routes of the playground: ask, follow what is written, stop, and what was asked before."""

from typing import Annotated

from django.http import HttpRequest
from ninja import Query, Router, Status

from runs.playground.asking import ask, find_columns, read_question
from runs.playground.schemas import AskIn, GenerationOut, GenerationsOut
from runs.playground.sessions import withdraw
from runs.playground.showing import find_generation, generations_of, read_column, read_columns
from runs.selectors import get_run
from tunix_site.auth import OPERATE, READ, require
from tunix_site.schemas import ERRORS, Limit, Offset, PositiveId

playground_router = Router(tags=["training"])


@playground_router.post(
    "runs/{run_id}/playground",
    response={201: list[GenerationOut], **ERRORS},
    auth=OPERATE,
    summary="Ask a checkpoint",
)
def ask_a_checkpoint(request: HttpRequest, run_id: PositiveId, payload: AskIn) -> Status[list[GenerationOut]]:
    """Put a prompt to one checkpoint or two into the queue; 429 where somebody asks for too much."""
    actor = require(request, "operate").user
    columns = find_columns(
        get_run(run_id=run_id),
        checkpoint=payload.checkpoint,
        beside_run=get_run(run_id=payload.beside_run) if payload.beside_run else None,
        beside_checkpoint=payload.beside_checkpoint or "",
    )
    question = read_question(
        prompt=payload.prompt,
        decoding=payload.decoding,
        answer=payload.expected_answer,
        trace_hash=payload.trace_hash,
    )
    made = ask(question, columns=columns, actor=actor, origin="the API")
    return Status(201, [GenerationOut.of(read_column(row)) for row in made])


@playground_router.get(
    "runs/{run_id}/playground",
    response={200: GenerationsOut, **ERRORS},
    auth=READ,
    summary="What was asked of a run",
)
def asked_before(
    request: HttpRequest, run_id: PositiveId, limit: Limit = 50, offset: Offset = 0
) -> GenerationsOut:
    """List what was asked of a run's model, the newest first."""
    rows = generations_of(get_run(run_id=run_id))
    columns = read_columns(list(rows[offset : offset + limit]))
    return GenerationsOut(items=[GenerationOut.of(one) for one in columns], count=rows.count())


@playground_router.get(
    "runs/{run_id}/playground/{number}",
    response={200: GenerationOut, **ERRORS},
    auth=READ,
    summary="One generation",
)
def follow(
    request: HttpRequest,
    run_id: PositiveId,
    number: PositiveId,
    after: Annotated[int, Query(ge=0, le=2**31 - 1, description="cursor of the answer before")] = 0,
) -> GenerationOut:
    """Give a generation as far as it is, with the text that came since."""
    return GenerationOut.of(read_column(find_generation(get_run(run_id=run_id), number)), after=after)


@playground_router.post(
    "runs/{run_id}/playground/{number}/stop",
    response={200: GenerationOut, **ERRORS},
    auth=OPERATE,
    summary="Stop a generation",
)
def stop(request: HttpRequest, run_id: PositiveId, number: PositiveId) -> GenerationOut:
    """Stop a generation that waits or is being written; what it wrote stays."""
    actor = require(request, "operate").user
    row = withdraw(find_generation(get_run(run_id=run_id), number), actor=actor)
    return GenerationOut.of(read_column(row))
