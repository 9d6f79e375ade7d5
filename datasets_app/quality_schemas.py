"""What the API of quality reports and of comparisons takes and gives."""

from datetime import datetime
from typing import Annotated, Any, Self

from ninja import Schema
from pydantic import BaseModel, ConfigDict, Field

from datasets_app.models import QualityReport
from datasets_app.quality.reports import MAX_LENGTH, MIN_LENGTH


class ReportIn(BaseModel):
    """The quality report that is wanted."""

    model_config = ConfigDict(extra="forbid")

    against: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        default=None, description="KEY or KEY@HASHPREFIX of a dataset that must not overlap"
    )
    sequence_length: Annotated[int, Field(ge=MIN_LENGTH, le=MAX_LENGTH)] = Field(
        default=512, description="tokens in a training row"
    )


class ReportOut(Schema):
    """A quality report, or the work that makes it."""

    id: int
    dataset: str
    against: str | None
    sequence_length: int
    report_version: int
    status: str = Field(
        description="queued, running, completed, cancelled, failed, or lost (no sign of life)"
    )
    done: int
    total: int
    error: str
    created_at: datetime
    finished_at: datetime | None
    content: dict[str, Any] | None = Field(description="null until it is completed")
    url: str

    @classmethod
    def of(cls, report: QualityReport) -> Self:
        """Describe a row."""
        address = report.dataset.address
        return cls(
            id=report.pk,
            dataset=address,
            against=report.other.address if report.other else None,
            sequence_length=report.sequence_length,
            report_version=report.report_version,
            status=report.shown_status,
            done=report.done,
            total=report.total,
            error=report.error,
            created_at=report.created_at,
            finished_at=report.finished_at,
            content=report.content or None,
            url=f"/api/datasets/{address}/quality/{report.pk}",
        )


class ChangeOut(Schema):
    """One prompt whose trace differs between two datasets."""

    prompt: str
    position_a: int | None
    position_b: int | None
    what: list[str] = Field(description="steps, final_answer, split, prompt")


class ComparisonPendingOut(Schema):
    """A comparison of large datasets that is not made yet: ask again."""

    a: str
    b: str
    status: str = Field(description="queued or running")


class ComparisonOut(Schema):
    """Two datasets side by side: ``a`` the one before, ``b`` the one after."""

    a: str
    b: str
    unchanged: int
    moved: int = Field(description="the same trace, but on another side of the split")
    added: int
    removed: int
    changed: int
    examples: dict[str, list[ChangeOut]] = Field(description="the first of each kind")
