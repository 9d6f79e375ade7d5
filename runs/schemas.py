"""Shapes of the run API's answers and requests."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal

from ninja import Schema
from pydantic import ConfigDict, Field, field_validator

from runs.listing.organising import tags_of
from runs.logs import LogPiece
from runs.models import Attempt, Checkpoint, Evaluation, Run
from runs.queueing import PRIORITIES
from runs.waiting import seconds_left, waiting_reason
from training.bases import pinned
from training.config import TrainConfig
from training.errors import ConfigError

StepNumber = Annotated[int, Field(ge=0, le=2**31 - 1)]
Priority = Annotated[
    int, Field(ge=PRIORITIES[0], le=PRIORITIES[1], description="higher goes first in the queue")
]


class RunIn(Schema):
    """A training to start.

    ``config`` takes any fields of the training config; the rest keep their defaults.
    """

    model_config = ConfigDict(extra="forbid")

    dataset: str = Field(min_length=1, max_length=200, description="dataset KEY, or KEY@HASHPREFIX")
    config: TrainConfig = TrainConfig()
    device: Literal["cpu", "gpu"] | None = Field(None, description="default: a usable GPU, else the CPU")
    device_index: Annotated[int, Field(ge=0, le=1023)] | None = Field(None, description="which GPU")
    name: str = Field("", max_length=300)
    priority: Priority = 0
    start: bool = Field(True, description="false: leave it a draft")

    @field_validator("config")
    @classmethod
    def _model_is_known(cls, config: TrainConfig) -> TrainConfig:
        try:
            pinned(config.model)
        except ConfigError as error:
            raise ValueError(str(error)) from error
        return config


class BestOut(Schema):
    """The best evaluation of a run, by its recipe's ``best_metric``."""

    id: int
    step: int
    split: str
    n: int
    answer_accuracy: float
    interval: tuple[float, float]
    step_accuracy: float | None
    loss: float | None

    @classmethod
    def of(cls, row: Evaluation) -> "BestOut":
        """Describe it."""
        same = "id step split n answer_accuracy step_accuracy loss"
        interval = (row.interval_low, row.interval_high)
        return cls(**{name: getattr(row, name) for name in same.split()}, interval=interval)


class RunOut(Schema):
    """A run as it stands."""

    id: int
    run_id: int
    kind: str
    name: str
    status: str
    phase: str
    reason: str
    waiting: str = Field(description="why it does not run yet; empty: it is not queued")
    priority: int
    restarts: int = Field(description="restarts by itself since a person last started it")
    not_before: datetime | None
    stop_now: bool = Field(description="it was told to stop without a checkpoint")
    attempt: int
    dataset: str | None
    content_hash: str | None
    device: str
    device_index: int
    device_name: str
    step: int
    total_steps: int
    progress_percent: int
    last_loss: float | None = Field(description="newest training loss, nats a supervised token")
    final_loss: float | None
    best_evaluation: BestOut | None
    tokens_per_second: float | None = Field(description="real tokens, median of the last steps")
    step_seconds: float | None = Field(description="time of an update, median of the last steps")
    eta_seconds: float | None = Field(description="time left, of what is at work")
    parameters: int | None = Field(description="of the model")
    checkpoint_bytes: int = Field(description="of its checkpoints on the disk")
    tags: list[str]
    archived: bool = Field(description="hidden from lists")
    params_hash: str
    parent_id: int | None
    checkpoint_dir: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    heartbeat_at: datetime | None
    url: str

    @classmethod
    def of(cls, run: Run, *, waiting: str | None = None) -> "RunOut":
        """Describe a run; ``waiting`` is why it waits, where that is known already."""
        return cls(**_facts(run, waiting))


def _facts(run: Run, waiting: str | None = None) -> dict[str, Any]:
    same = (
        "id kind name status phase reason attempt device_index device_name step total_steps progress_percent "
        "final_loss params_hash parent_id checkpoint_dir created_at started_at finished_at heartbeat_at "
        "priority restarts not_before stop_now last_loss tokens_per_second step_seconds parameters "
        "checkpoint_bytes"
    )
    return {
        **{name: getattr(run, name) for name in same.split()},
        "waiting": waiting_reason(run) if waiting is None else waiting,
        "run_id": run.pk,
        "best_evaluation": BestOut.of(run.best_evaluation) if run.best_evaluation else None,
        "eta_seconds": seconds_left(run) if run.is_supervised else None,
        "tags": tags_of(run),
        "archived": run.archived_at is not None,
        "dataset": run.dataset.key if run.dataset else None,
        "content_hash": run.dataset.content_hash if run.dataset else None,
        "device": run.device_kind,
        "url": run.get_absolute_url(),
    }


class RunDetailOut(RunOut):
    """A run with its frozen config, result, provenance and the end of a failed attempt's log."""

    config: dict[str, Any]
    params: dict[str, Any]
    result: dict[str, Any]
    provenance: dict[str, Any]
    error: str

    @classmethod
    def of(cls, run: Run, *, waiting: str | None = None) -> "RunDetailOut":
        """Describe a run with everything."""
        more = {name: getattr(run, name) for name in ("config", "params", "result", "provenance", "error")}
        return cls(**_facts(run, waiting), **more)


class RunListOut(Schema):
    """A page of runs, newest first."""

    items: list[RunOut]
    count: int


class CheckpointOut(Schema):
    """A checkpoint of a run."""

    step: int
    attempt: int
    path: str
    size_bytes: int
    on_disk: bool
    superseded: bool
    pinned: bool
    removed_at: datetime | None
    removed_why: str
    created_at: datetime
    metadata: dict[str, Any]

    @classmethod
    def of(cls, row: Checkpoint) -> "CheckpointOut":
        """Describe a checkpoint."""
        return cls(**{name: getattr(row, name) for name in cls.model_fields})


class EvaluationOut(Schema):
    """An evaluation with its 95 % Wilson interval."""

    id: int
    run_id: int = Field(description="the run whose model was graded")
    made_by: int
    step: int
    dataset: str | None
    split: str
    final: bool
    n: int
    correct: int
    answer_accuracy: float
    interval: tuple[float, float]
    step_accuracy: float | None
    loss: float | None
    seconds: float
    generated_tokens: int
    generation_seconds: float | None
    tokens_per_second: float | None = Field(description="generated tokens a second of generation")
    grader: str = Field(description="empty: graded before graders were recorded")
    grader_version: int
    decoding: dict[str, Any] = Field(description="how texts were drawn; empty: not recorded")
    limit: int | None = Field(description="prompts at most, as asked")
    subset_seed: int = Field(description="what chose the prompts")
    draws: int = Field(description="texts a prompt; answer_accuracy is that of the first ones")
    pass_at: dict[str, float] = Field(description="chance that one of k texts is right, by k")
    majority_accuracy: float | None = Field(description="share of prompts whose commonest answer is right")
    format_rate: float | None
    right_with_invalid_step: int | None = Field(
        description="right answers with a step that is not valid; null: not recorded"
    )
    results_hash: str = Field(description="over all texts and verdicts: equal for equal results")
    superseded: bool
    created_at: datetime

    @classmethod
    def of(cls, row: Evaluation) -> "EvaluationOut":
        """Describe an evaluation."""
        same = (
            "id run_id step split final n correct answer_accuracy step_accuracy loss seconds "
            "generated_tokens generation_seconds grader grader_version decoding limit subset_seed draws "
            "pass_at majority_accuracy format_rate results_hash superseded created_at"
        )
        return cls(
            **{name: getattr(row, name) for name in same.split()},
            made_by=row.made_by_id,
            dataset=row.dataset.key if row.dataset else None,
            interval=(row.interval_low, row.interval_high),
            tokens_per_second=row.tokens_per_second,
            right_with_invalid_step=row.right_below_invalid,
        )


class LogOut(Schema):
    """A piece of an attempt's log, in bytes of the whole log. ``cursor`` goes on where it ends."""

    run_id: int
    attempt: int
    text: str
    offset: int
    next_offset: int
    cursor: int = Field(description="for `after` of the next question; the same as next_offset")
    first_offset: int = Field(description="oldest byte that is kept")
    skipped: int = Field(description="bytes between the position asked for and offset that were deleted")
    size: int

    @classmethod
    def of(cls, run: Run, attempt: int, piece: LogPiece) -> "LogOut":
        """Describe a piece."""
        return cls(run_id=run.pk, attempt=attempt, cursor=piece.next_offset, **asdict(piece))


class AttemptOut(Schema):
    """One start of a run."""

    number: int
    status: str
    reason: str
    cause: str = Field(description="what ended it, for programs; empty: it has not ended")
    exit_code: int | None = Field(description="negative: the signal that ended its process")
    stop_sent_at: datetime | None
    killed_at: datetime | None
    adoptions: int = Field(description="supervisors that took it over")
    host: str
    device: str
    child_pid: int | None
    start_step: int
    end_step: int | None
    inexact: str
    started_at: datetime
    finished_at: datetime | None

    @classmethod
    def of(cls, row: Attempt) -> "AttemptOut":
        """Describe an attempt."""
        return cls(**{name: getattr(row, name) for name in cls.model_fields})
