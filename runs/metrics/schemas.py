"""Shapes of what the API answers about metrics."""

from ninja import Schema
from pydantic import Field

from runs.metrics.series import Series


class SeriesOut(Schema):
    """One metric; the lists have one entry a shown point or bucket. ``value`` is a bucket's mean."""

    name: str
    unit: str
    total_points: int
    shown: int
    step: list[int] = Field(description="of the last point of a bucket")
    value: list[float | None] = Field(description="mean of a bucket's finite values")
    min: list[float | None]
    max: list[float | None]
    last: list[float | None] = Field(description="value of a bucket's last point")
    time: list[float] = Field(description="when a bucket's last point was recorded, in Unix seconds")
    count: list[int]
    non_finite: list[int] = Field(
        description="steps whose value was NaN or infinite, and so is null; the first 1,000"
    )
    non_finite_count: int = Field(description="how many such steps there are")
    attempt: int | None = Field(None, description="with superseded: the attempt that recorded it")
    superseded: bool | None = Field(None, description="true: a later attempt has overtaken these points")
    run_id: int | None = Field(None, description="there where this is the curve of a run it came from")

    @classmethod
    def of(cls, series: Series) -> "SeriesOut":
        """Describe a series."""
        return cls.model_construct(**{name: getattr(series, name) for name in cls.model_fields})


class MetricsOut(Schema):
    """Series of a run and the cursor for the next question."""

    run_id: int
    status: str
    phase: str
    step: int
    total_steps: int
    cursor: str
    reset: bool = Field(
        description="true: a resume superseded points, or the cursor is old; drop what you have, "
        "this is everything"
    )
    series: list[SeriesOut]


class RunCurvesOut(Schema):
    """The curves of one of several runs."""

    run_id: int
    name: str
    status: str
    series: list[SeriesOut]


class CurvesOut(Schema):
    """Curves of several runs, in the order in which they were asked for."""

    runs: list[RunCurvesOut]
    missing: list[int] = Field(description="ids that no run has")
