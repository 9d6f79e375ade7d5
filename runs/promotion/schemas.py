"""Shapes of the API's answers and requests about aliases."""

from datetime import datetime
from typing import Annotated, Any, Literal

from ninja import Schema
from pydantic import ConfigDict, Field

from runs.models import Alias, AliasMove, AliasRule
from runs.promotion.names import LONGEST_SCOPE, LONGEST_WHY

Scope = Annotated[str, Field(min_length=1, max_length=LONGEST_SCOPE, description="dataset key")]
Name = Annotated[
    str, Field(min_length=1, max_length=40, description="for example best, production, or an own one")
]
Why = Annotated[str, Field(min_length=1, max_length=LONGEST_WHY, description="the reason, for the history")]


class AliasOut(Schema):
    """A name and the checkpoint that it points at."""

    scope: str
    name: str
    run_id: int | None = Field(description="null: it points at nothing")
    step: int | None
    path: str | None
    on_disk: bool
    evaluation: int | None = Field(description="what spoke for the checkpoint")
    version: int = Field(description="counts its moves")
    moved_by: str = Field(description="empty: it moved by itself")
    why: str
    moved_at: datetime

    @classmethod
    def of(cls, row: Alias) -> "AliasOut":
        """Describe an alias."""
        checkpoint = row.checkpoint
        return cls(
            **{name: getattr(row, name) for name in ("scope", "name", "version", "why", "moved_at")},
            run_id=checkpoint.run_id if checkpoint else None,
            step=checkpoint.step if checkpoint else None,
            path=checkpoint.path if checkpoint else None,
            on_disk=checkpoint is not None and checkpoint.removed_at is None and checkpoint.on_disk,
            evaluation=row.evaluation_id,
            moved_by=row.moved_by_name,
        )


class AliasIn(Schema):
    """A checkpoint to point a name at."""

    model_config = ConfigDict(extra="forbid")

    run_id: Annotated[int, Field(ge=1, le=2**63 - 1)]
    checkpoint: str = Field(
        "latest", min_length=1, max_length=160, description="latest, best, a step or an alias"
    )
    name: Name
    scope: str = Field("", max_length=LONGEST_SCOPE, description="dataset key; empty: the run's own")
    why: Why
    override: bool = Field(False, description="over the name's rule (admin)")


class AliasDropIn(Schema):
    """A name to let go."""

    model_config = ConfigDict(extra="forbid")

    scope: Scope
    name: Name
    why: Why


class AliasMoveOut(Schema):
    """One move of a name."""

    scope: str
    name: str
    version: int
    from_run: int | None
    from_step: int | None
    to_run: int | None
    to_step: int | None
    evaluation: int | None
    moved_by: str
    why: str
    unmet: list[str] = Field(description="conditions that an administrator went over")
    moved_at: datetime

    @classmethod
    def of(cls, row: AliasMove) -> "AliasMoveOut":
        """Describe a move."""
        same = "scope name version from_run from_step to_run to_step evaluation why unmet moved_at"
        return cls(**{name: getattr(row, name) for name in same.split()}, moved_by=row.moved_by_name)


class AliasHistoryOut(Schema):
    """Moves, the newest first."""

    items: list[AliasMoveOut]
    count: int


class RuleOut(Schema):
    """What a name asks of a checkpoint, and what it follows."""

    scope: str
    name: str
    metric: str = Field(description="what it follows by itself; empty: moved by hand")
    higher_is_better: bool
    split: str
    grader: str
    content_hash: str
    min_n: int
    min_accuracy: float | None
    overlap: str
    changed_at: datetime

    @classmethod
    def of(cls, row: AliasRule) -> "RuleOut":
        """Describe a rule."""
        return cls(**{name: getattr(row, name) for name in cls.model_fields})


class RuleIn(Schema):
    """A rule to write, or fields of it to change; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    scope: Scope
    name: Name
    metric: str | None = Field(None, max_length=40, description="what it is to follow; empty: nothing")
    higher_is_better: bool | None = Field(None, description="default: as the metric means it")
    split: Literal["test", "train"] | None = None
    grader: str | None = Field(None, max_length=60, description="empty: any grader that is recorded")
    content_hash: str | None = Field(
        None, max_length=64, description="beginning of a hash; empty: the newest"
    )
    min_n: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None
    min_accuracy: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="what the lower bound of the 95 % interval must reach"
    )
    overlap: Literal["none", "prompts", "any"] | None = None

    def changes(self) -> dict[str, Any]:
        """Give the fields that were sent."""
        sent = self.model_dump(exclude_unset=True, exclude={"scope", "name"})
        return {name: value for name, value in sent.items() if value is not None or name == "min_accuracy"}
