"""REST route of the leaderboard."""

from datetime import datetime
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Query, Router, Schema
from pydantic import Field

from datasets_app.selectors import resolve_dataset
from runs.leaderboard.boards import Board, boards_of, contents_graded
from runs.leaderboard.entries import Standing, describe, standing
from tunix_site.auth import READ
from tunix_site.schemas import ERRORS, Limit, Offset

leaderboard_router = Router(tags=["training"])
MOST_BOARDS = 50


class EntryOut(Schema):
    """A line of a board."""

    rank: str = Field(description="places that the interval leaves open, as 1–3")
    rank_best: int
    rank_worst: int
    evaluation: int
    run_id: int
    run_name: str
    model: str
    made_by: int = Field(description="the run that graded")
    step: int
    split: str
    n: int
    correct: int
    answer_accuracy: float
    interval: tuple[float, float] = Field(description="95 % Wilson interval")
    step_accuracy: float | None
    right_with_invalid_step: int | None
    majority_accuracy: float | None
    format_rate: float | None
    loss: float | None
    draws: int
    pass_at: dict[str, float]
    generated_tokens: int
    seconds: float
    final: bool
    created_at: datetime
    overlap: str = Field(description="clean, prompts, ngrams, unknown or unchecked")
    overlap_prompts: int = Field(description="prompts that stand in the training data")
    overlap_ngrams: int = Field(description="prompts that share a run of 13 words with it")
    aliases: list[str]
    url: str


class BoardOut(Schema):
    """What can be compared, with a page of its entries."""

    board: str = Field(description="its code, for `board=`")
    dataset: str
    content_hash: str
    split: str
    grader: str = Field(description="empty: graded before graders were recorded")
    grader_version: int
    decoding: dict[str, Any]
    draws: int
    count: int = Field(description="entries in all")
    overlapping: int = Field(description="evaluations whose prompts overlap with training data")
    unchecked: int = Field(description="entries whose overlap was not looked at")
    entries: list[EntryOut]

    @classmethod
    def of(cls, found: Standing) -> "BoardOut":
        """Describe a board."""
        board: Board = found.board
        return cls(
            board=board.code,
            dataset=board.dataset.key,
            content_hash=board.dataset.content_hash,
            count=found.count,
            overlapping=found.marked,
            unchecked=found.unchecked,
            entries=[EntryOut(**describe(entry)) for entry in found.entries],
            **{
                name: getattr(board, name)
                for name in ("split", "grader", "grader_version", "decoding", "draws")
            },
        )


class LeaderboardOut(Schema):
    """The boards of one dataset content; what cannot be compared stands on boards of its own."""

    dataset: str
    content_hash: str
    other_contents: list[str] = Field(description="KEY@HASHPREFIX of contents with boards of their own")
    boards: list[BoardOut]
    left_out: int = Field(
        description="boards beyond the most in one answer; narrow with split, grader or board"
    )


@leaderboard_router.get(
    "leaderboard", response={200: LeaderboardOut, **ERRORS}, auth=READ, summary="Leaderboard"
)
def leaderboard(
    request: HttpRequest,
    dataset: Annotated[str, Query(min_length=1, max_length=200, description="KEY, or KEY@HASHPREFIX")],
    split: Annotated[str, Query(max_length=16)] = "",
    grader: Annotated[
        str | None, Query(max_length=60, description="its name; empty: before they were recorded")
    ] = None,
    board: Annotated[str, Query(max_length=64, description="only the board of this code")] = "",
    every: Annotated[
        bool, Query(alias="all", description="all evaluations, not only the best of each run")
    ] = False,
    hide_overlap: Annotated[bool, Query(description="leave out what overlaps with training data")] = False,
    limit: Limit = 50,
    offset: Offset = 0,
) -> LeaderboardOut:
    """Rank evaluations of one dataset content; `limit` and `offset` count the entries of each board."""
    found = resolve_dataset(address=dataset)
    graded = contents_graded(found.key)
    if "@" not in dataset and graded:
        found = graded[0]
    narrowed = grader.replace("\x00", "") if grader is not None else None
    boards = boards_of([found], split=split.replace("\x00", ""), grader=narrowed)
    if board:
        boards = [one for one in boards if one.code == board]
    return LeaderboardOut(
        dataset=found.key,
        content_hash=found.content_hash,
        other_contents=[one.address for one in graded if one.pk != found.pk],
        boards=[
            BoardOut.of(standing(one, every=every, hide_overlap=hide_overlap, offset=offset, limit=limit))
            for one in boards[:MOST_BOARDS]
        ],
        left_out=max(0, len(boards) - MOST_BOARDS),
    )
