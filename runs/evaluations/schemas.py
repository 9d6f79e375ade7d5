"""Shapes of what API and command tell of evaluations, and of what they take."""

from typing import Annotated, Any, Literal

from ninja import Schema
from pydantic import ConfigDict, Field

from runs.evaluations.asking import DEFAULT_LIMIT, MAX_LIMIT
from runs.evaluations.figures import findings_of
from runs.evaluations.repeating import repeats
from runs.models import Evaluation
from runs.samples.schemas import SampleOut
from runs.schemas import EvaluationOut
from training.config import MAX_INT


class DecodingIn(Schema):
    """How texts are drawn; what is left out is greedy, one text a prompt, as long as needed."""

    model_config = ConfigDict(extra="forbid")

    max_new_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    temperature: Annotated[float, Field(ge=0, le=100)] | None = None
    top_k: Annotated[int, Field(ge=0, le=MAX_INT)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    seed: Annotated[int, Field(ge=0, le=MAX_INT)] | None = None
    samples: Annotated[int, Field(ge=1, le=1024)] | None = Field(default=None, description="texts a prompt")


class EvaluateIn(Schema):
    """An evaluation to make; everything has a default."""

    model_config = ConfigDict(extra="forbid")

    checkpoint: str = Field(default="latest", max_length=141, description="latest, best, a step or a name")
    dataset: str = Field(
        default="", max_length=200, description="KEY or KEY@HASHPREFIX; empty: the run's own"
    )
    split: Literal["test", "train"] = "test"
    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT, description="prompts at most")] = DEFAULT_LIMIT
    grader: str = Field(default="", max_length=60, description="empty: that of the run's recipe")
    subset_seed: Annotated[int, Field(ge=0, le=MAX_INT)] | None = Field(
        default=None, description="what chooses the prompts where there are more; empty: the seed of the run"
    )
    decoding: DecodingIn = DecodingIn()
    device: Literal["cpu", "gpu"] | None = Field(default=None, description="default: as the run was trained")
    device_index: Annotated[int, Field(ge=0, le=1023)] | None = None

    def arguments(self) -> dict[str, Any]:
        """Give it as the verb takes it."""
        return {
            **self.model_dump(exclude={"decoding"}),
            "decoding": self.decoding.model_dump(exclude_none=True),
        }


class RepeatOut(Schema):
    """How an evaluation came out beside an earlier one of the very same."""

    evaluation: int
    identical: bool
    differs: list[str]


class EvaluationDetailOut(EvaluationOut):
    """One evaluation with everything that decides and sums it up."""

    content_hash: str | None
    checkpoint: str | None = Field(description="folder of the checkpoint, where it is known")
    first_wrong_step: list[int] = Field(description="texts by the index of their first wrong step")
    checks: dict[str, dict[str, int]] = Field(description="texts passed, failed and with nothing to check")
    repeat: RepeatOut | None = Field(description="beside the newest earlier one of the same; null: none")
    url: str

    @classmethod
    def of_row(cls, row: Evaluation) -> "EvaluationDetailOut":
        """Describe an evaluation with everything."""
        return cls(**described(row))


class EvaluationSampleListOut(Schema):
    """A page of one evaluation's texts."""

    evaluation_id: int
    items: list[SampleOut]
    count: int


def described(row: Evaluation) -> dict[str, Any]:
    """Give everything of an evaluation as plain values, also for ``evaluate --json``."""
    found = findings_of(row)
    repeat = repeats(row)
    return {
        **EvaluationOut.of(row).model_dump(exclude={"created_at"}),
        "created_at": row.created_at.isoformat(),
        "content_hash": row.dataset.content_hash if row.dataset else None,
        "checkpoint": row.checkpoint.path if row.checkpoint else None,
        "first_wrong_step": found.first_wrong,
        "checks": {
            one.name: {"passed": one.passed, "failed": one.failed, "nothing": one.nothing}
            for one in found.checks
        },
        "repeat": None
        if repeat is None
        else {"evaluation": repeat.earlier.pk, "identical": repeat.identical, "differs": repeat.differs},
        "url": row.get_absolute_url(),
    }
