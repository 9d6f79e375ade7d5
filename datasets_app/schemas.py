"""What the API of traces and datasets takes and gives."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self, get_args

from ninja import Schema
from pydantic import BaseModel, ConfigDict, Field, model_validator

from datasets_app.formats import WRITERS
from datasets_app.generators import check_steps
from datasets_app.models import BuildTask, Dataset, Trace
from datasets_app.selectors import MemberTrace
from datasets_app.traces import (
    MAX_STEP_INDEX,
    MAX_STEP_TYPE,
    MAX_STEPS,
    MAX_TEXT,
    TRACE_VERSION,
    Step,
    TraceRecord,
)

MAX_BATCH = 5000

SplitName = Literal["train", "test"]
FormatName = Literal[
    "trace",
    "sft",
    "messages",
    "prompt_completion",
    "sharegpt",
    "question_steps",
    "gsm8k",
    "stepwise",
    "alpaca",
    "problem_solution",
    "icot",
]
assert set(get_args(FormatName)) == set(WRITERS)  # noqa: S101 - a format of its own needs its name here


class StepModel(BaseModel):
    """One step of a trace."""

    model_config = ConfigDict(extra="forbid")

    i: Annotated[int, Field(ge=0, le=MAX_STEP_INDEX, description="index; rises from step to step")]
    type: Annotated[str, Field(max_length=MAX_STEP_TYPE)] = "step"
    content: Annotated[str, Field(max_length=MAX_TEXT)]


class TraceIn(BaseModel):
    """A trace that is handed in."""

    model_config = ConfigDict(extra="forbid")

    trace_version: Annotated[str, Field(max_length=16)] = TRACE_VERSION
    prompt: Annotated[str, Field(max_length=MAX_TEXT)]
    steps: Annotated[list[StepModel], Field(max_length=MAX_STEPS)]
    final_answer: Annotated[str, Field(max_length=MAX_TEXT)]
    meta: dict[str, Any] = Field(default={}, description="anything else about it; no part of its identity")
    source: Annotated[str, Field(max_length=200, description="where it comes from")] = ""
    licence: Annotated[str, Field(max_length=100)] = ""
    family: Annotated[str, Field(max_length=64, description="generator family, where it has one")] = ""

    def record(self) -> TraceRecord:
        """Give the trace as plain data."""
        steps = tuple(Step(i=step.i, type=step.type, content=step.content) for step in self.steps)
        return TraceRecord(
            prompt=self.prompt,
            steps=steps,
            final_answer=self.final_answer,
            meta=self.meta,
            trace_version=self.trace_version,
        )


class TraceBatchIn(BaseModel):
    """Several traces, stored all or none. A bare JSON array of traces is taken too."""

    model_config = ConfigDict(extra="forbid")

    traces: Annotated[list[TraceIn], Field(min_length=1, max_length=MAX_BATCH)]

    @model_validator(mode="before")
    @classmethod
    def _take_a_bare_array(cls, value: Any) -> Any:
        return {"traces": value} if isinstance(value, list) else value


class SourceOut(Schema):
    """Where a stored trace came from."""

    source: str
    licence: str
    family: str
    meta: dict[str, Any]


class TraceOut(Schema):
    """A stored trace."""

    id: int
    content_hash: str = Field(description="SHA-256 of the canonical JSON of prompt, steps, final_answer")
    trace_version: str
    prompt: str
    steps: list[StepModel]
    final_answer: str
    created_at: datetime
    sources: list[SourceOut] = Field(description="where it was handed in from; datasets have their own")

    @classmethod
    def of(cls, trace: Trace) -> Self:
        """Describe a row whose sources are loaded."""
        return cls(**cls.facts(trace))

    @staticmethod
    def facts(trace: Trace) -> dict[str, Any]:
        """Give the values of the fields."""
        return {
            "id": trace.pk,
            "content_hash": trace.content_hash,
            "trace_version": TRACE_VERSION,
            "prompt": trace.prompt,
            "steps": trace.steps,
            "final_answer": trace.final_answer,
            "created_at": trace.created_at,
            "sources": [
                {"source": row.source, "licence": row.licence, "family": row.family, "meta": row.meta}
                for row in trace.sources.all()
            ],
        }


class TraceDetailOut(TraceOut):
    """A stored trace with the datasets that hold it."""

    datasets: list[str] = Field(description="addresses KEY@HASHPREFIX, at most 100")


class TraceStoredOut(TraceOut):
    """A trace that was handed in."""

    created: bool = Field(description="false: it was stored already")


class TracePage(Schema):
    """One page of stored traces, the newest first."""

    items: list[TraceOut]
    count: int
    count_is_exact: bool = Field(
        description="false beyond 10,000 traces: count then has also those that only an unfinished build "
        "or a deleted dataset holds, and pages leave these out"
    )
    limit: int
    offset: int


class StoredRef(Schema):
    """One trace of a batch."""

    id: int
    content_hash: str
    created: bool


class BatchOut(Schema):
    """What became of a batch, in its order."""

    created: int
    existing: int
    items: list[StoredRef]


class SplitCounts(Schema):
    """How many traces stand on each side."""

    train: int
    test: int


class DatasetOut(Schema):
    """One content of a key."""

    key: str
    content_hash: str
    address: str = Field(description="KEY@HASHPREFIX: always means this content")
    trace_count: int
    splits: SplitCounts
    description: str
    source: str
    licence: str
    generator: str | None
    generator_version: int | None
    recipe: dict[str, Any]
    parent: str | None = Field(description="address of the content that the key meant before")
    created_at: datetime | None

    @classmethod
    def of(cls, dataset: Dataset, **more: Any) -> Self:
        """Describe a row."""
        return cls(
            key=dataset.key,
            content_hash=dataset.content_hash,
            address=dataset.address,
            trace_count=dataset.trace_count,
            splits=SplitCounts(train=dataset.train_count, test=dataset.test_count),
            description=dataset.description,
            source=dataset.source,
            licence=dataset.licence,
            generator=dataset.generator or None,
            generator_version=dataset.generator_version,
            recipe=dataset.recipe,
            parent=dataset.parent.address if dataset.parent else None,
            created_at=dataset.published_at,
            **more,
        )


class DatasetDetailOut(DatasetOut):
    """One content of a key, with what its traces are made of."""

    families: dict[str, int]
    provenance: list[dict[str, Any]]


class DatasetBuiltOut(DatasetOut):
    """The outcome of a build."""

    created: bool = Field(description="false: this content was there already")


class DatasetPage(Schema):
    """One page of datasets."""

    items: list[DatasetOut]
    count: int
    limit: int
    offset: int


class MemberOut(Schema):
    """A trace as it stands in a dataset."""

    position: int
    split: str
    family: str
    content_hash: str
    prompt: str
    steps: list[StepModel]
    steps_valid: list[bool | None] = Field(description="the checker's verdicts; null: not known")
    final_answer: str
    source: str
    licence: str
    meta: dict[str, Any]

    @classmethod
    def of(cls, member: MemberTrace) -> Self:
        """Describe a trace of a dataset, its steps checked."""
        return cls(
            position=member.position,
            split=member.split,
            family=member.family,
            content_hash=member.content_hash,
            prompt=member.prompt,
            steps=[StepModel(i=step.i, type=step.type, content=step.content) for step in member.step_records],
            steps_valid=check_steps(member.family, member.prompt, member.steps),
            final_answer=member.final_answer,
            source=member.source,
            licence=member.licence,
            meta=member.meta,
        )


class MemberPage(Schema):
    """One page of the traces of a dataset, in order."""

    items: list[MemberOut]
    count: int
    limit: int
    offset: int


class BuildTaskOut(Schema):
    """A build in the queue."""

    id: int
    status: str = Field(description="queued, running, completed, failed, cancelled, lost (no sign of life)")
    done: int
    total: int = Field(description="traces at most; exact once the build writes")
    dataset: str | None = Field(description="address of the finished dataset")
    created: bool | None
    error: str
    created_at: datetime
    finished_at: datetime | None
    url: str

    @classmethod
    def of(cls, task: BuildTask) -> Self:
        """Describe a row."""
        return cls(
            id=task.pk,
            status="lost" if task.is_silent else task.status,
            done=task.done,
            total=task.total,
            dataset=task.dataset.address if task.dataset else None,
            created=task.created,
            error=task.error,
            created_at=task.created_at,
            finished_at=task.finished_at,
            url=f"/api/datasets/build/{task.pk}",
        )
