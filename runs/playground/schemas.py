"""What the API takes and gives of the playground."""

from datetime import datetime
from typing import Annotated, Any

from ninja import Schema
from pydantic import ConfigDict, Field

from runs.playground.asking import LONGEST_ANSWER, LONGEST_CHECKPOINT, LONGEST_PROMPT
from runs.playground.showing import Column
from tunix_site.errors import ConflictError
from tunix_site.schemas import PositiveId

Which = Annotated[str, Field(max_length=LONGEST_CHECKPOINT, description="latest, best, a step or a name")]


class AskIn(Schema):
    """A prompt, and who is to answer it."""

    model_config = ConfigDict(extra="forbid")

    prompt: Annotated[str, Field(min_length=1, max_length=LONGEST_PROMPT)]
    checkpoint: Which = "latest"
    beside_run: PositiveId | None = Field(None, description="run of a second checkpoint; null: this one")
    beside_checkpoint: Which | None = Field(None, description="a second checkpoint; null: none beside")
    expected_answer: Annotated[str, Field(max_length=LONGEST_ANSWER)] | None = None
    trace_hash: Annotated[str, Field(max_length=64, pattern="^[0-9a-f]*$")] = Field(
        "", description="the held-out trace whose prompt this is"
    )
    decoding: dict[str, Any] = Field(
        default_factory=dict, description="max_new_tokens, temperature, top_k, top_p, seed"
    )


class StepOut(Schema):
    """A whole step."""

    number: int
    text: str
    valid: bool | None = Field(description="null: no checker knows it")


class GenerationOut(Schema):
    """A generation and what it wrote so far."""

    id: int
    run_id: int
    step: int
    beside: int | None = Field(description="the generation that was asked for first, of two")
    session_run_id: int | None = Field(description="the run whose process writes")
    asked_by: str
    state: str = Field(description="waiting, writing, done, stopped or failed")
    reason: str
    waiting: str = Field(description="what it waits for")
    prompt: str
    decoding: dict[str, Any]
    text: str = Field(description="from `after` on")
    cursor: int = Field(description="characters so far, for `after` of the next question")
    steps: list[StepOut]
    begun: str = Field(description="the last line, which has no end yet")
    answer: str | None
    expected_answer: str | None
    correct: bool | None = Field(description="null: nothing to compare with, or not ended")
    rule: str = Field(description="what decided that")
    tokens: int
    finished: bool = Field(description="the model ended the text itself")
    created_at: datetime
    started_at: datetime | None
    first_text_at: datetime | None
    ended_at: datetime | None

    @classmethod
    def of(cls, column: Column, *, after: int = 0) -> "GenerationOut":
        """Describe a generation, its text from a character on.

        Raises:
            ConflictError: where the text is not that long.
        """
        row, reading = column.row, column.reading
        if after > len(row.text):
            raise ConflictError(
                f"Generation {row.pk} has {len(row.text)} characters, and none after {after}.",
                hint="Begin again with after=0.",
            )
        return cls(
            beside=row.beside_id,
            session_run_id=row.session_id,
            asked_by=row.owner.get_username() if row.owner else "",
            state=column.standing.state,
            reason=column.standing.reason,
            waiting=column.standing.waiting,
            text=row.text[after:],
            cursor=len(row.text),
            steps=[
                StepOut(number=number, text=text, valid=valid)
                for number, (text, valid) in enumerate(zip(reading.steps, reading.valid, strict=True), 1)
            ],
            begun=reading.begun,
            answer=reading.answer,
            correct=reading.verdict.correct if reading.verdict else None,
            rule=reading.verdict.rule if reading.verdict else reading.problem,
            **{name: getattr(row, name) for name in _SAME},
        )


_SAME = (
    "id", "run_id", "step", "prompt", "decoding", "expected_answer", "tokens", "finished", "created_at",
    "started_at", "first_text_at", "ended_at",
)  # fmt: skip


class GenerationsOut(Schema):
    """A page of generations."""

    items: list[GenerationOut]
    count: int
