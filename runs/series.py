"""Read metric series as charts need them: bounded in points, honest about extremes.

A series with more points than asked for is cut into buckets of equal step width; of each
bucket the mean, the true minimum and maximum and the count are given, so no spike is lost.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db.models import Avg, Count, F, IntegerField, Max, Min, Q, QuerySet
from django.db.models.expressions import ExpressionWrapper

from runs.models import MetricPoint, Run
from tunix_site.errors import InvalidInputError

DEFAULT_POINTS = 1000
UNITS = {
    "train/loss": "nats/token",
    "eval/loss": "nats/token",
    "train/step_time": "s",
    "train/tokens_per_second": "tokens/s",
    "train/grad_norm": "",
    "train/learning_rate": "",
    "train/skipped_updates": "updates",
    "train/tokens_seen": "tokens",
    "train/epoch": "epochs",
    "system/lowering_time": "s",
    "system/compile_time": "s",
    "system/first_step_time": "s",
    "system/checkpoint_stall": "s",
    "system/checkpoint_time": "s",
    "system/gpu_utilisation": "share",
    "system/gpu_memory_used": "bytes",
    "system/gpu_power": "W",
    "system/gpu_temperature": "°C",
    "system/gpu_throttled": "0 or 1",
    "system/host_memory": "bytes",
    "eval/answer_accuracy": "share",
    "eval/step_accuracy": "share",
}


@dataclass(slots=True)
class Series:
    """One metric of one run; the lists have one entry a shown point or bucket.

    ``attempt`` and ``superseded`` are set where it holds what later attempts have overtaken,
    ``run_id`` where it is the curve of another run.
    """

    name: str
    unit: str
    total_points: int
    step: list[int] = field(default_factory=list)
    value: list[float | None] = field(default_factory=list)
    min: list[float | None] = field(default_factory=list)
    max: list[float | None] = field(default_factory=list)
    count: list[int] = field(default_factory=list)
    non_finite: list[int] = field(default_factory=list)
    attempt: int | None = None
    superseded: bool | None = None
    run_id: int | None = None

    @property
    def shown(self) -> int:
        """How many points or buckets are given."""
        return len(self.step)


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a reader has come: how many points resumes had overtaken, and the newest point seen."""

    overtaken: int
    point: int

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Read a cursor as an answer gave it.

        Raises:
            InvalidInputError: for any other text.
        """
        overtaken, _, point = text.partition(".")
        if not (overtaken.isdecimal() and point.isdecimal() and len(overtaken) < 19 and len(point) < 19):
            raise InvalidInputError(
                f"after={text!r} is no cursor.", hint="Use the cursor of an earlier answer."
            )
        return cls(int(overtaken), int(point))

    def __str__(self) -> str:
        return f"{self.overtaken}.{self.point}"


def read_series(
    *,
    run: Run,
    names: Sequence[str] = (),
    from_step: int | None = None,
    to_step: int | None = None,
    max_points: int = DEFAULT_POINTS,
    after: Cursor | None = None,
) -> tuple[list[Series], Cursor, bool]:
    """Read series of a run, bucketed to at most ``max_points`` each.

    With ``after``, only the points that came since are read.

    Returns:
        The series by name, the new cursor, and whether the reader must drop what it has
        because a resume superseded some of it (the series are then complete again).
    """
    points = MetricPoint.objects.filter(run=run)
    facts = points.aggregate(newest=Max("id"), overtaken=Count("id", filter=Q(superseded=True)))
    newest = facts["newest"] or 0
    cursor = Cursor(facts["overtaken"], newest)
    reset = after is not None and after.overtaken != cursor.overtaken
    points = points.filter(superseded=False)
    if names:
        points = points.filter(name__in=names)
    if from_step is not None:
        points = points.filter(step__gte=from_step)
    if to_step is not None:
        points = points.filter(step__lte=to_step)
    points = points.filter(id__lte=newest)
    if after is not None and not reset:
        fresh = points.filter(id__gt=after.point)
        new = [_read_one(fresh.filter(name=name), name, max_points) for name in _names(fresh)]
        for series in new:
            series.total_points = points.filter(name=series.name).count()
        return new, cursor, False
    return read_points(points, max_points=max_points), cursor, reset


def read_points(
    points: QuerySet[MetricPoint], *, names: Sequence[str] = (), max_points: int = DEFAULT_POINTS
) -> list[Series]:
    """Read series of any points that have one value a name and step, bucketed to ``max_points`` each."""
    if names:
        points = points.filter(name__in=names)
    return [_read_one(points.filter(name=name), name, max_points) for name in _names(points)]


def _names(points: QuerySet[MetricPoint]) -> list[str]:
    return list(points.order_by("name").values_list("name", flat=True).distinct())


def _read_one(points: QuerySet[MetricPoint], name: str, max_points: int) -> Series:
    facts = points.aggregate(n=Count("id"), low=Min("step"), high=Max("step"))
    if facts["n"] <= max_points:
        return _raw(points, name)
    width = -(-(facts["high"] - facts["low"] + 1) // max_points)
    bucket = ExpressionWrapper((F("step") - facts["low"]) / width, output_field=IntegerField())
    rows = (
        points.order_by()
        .annotate(bucket=bucket)
        .values("bucket")
        .annotate(mean=Avg("value"), low=Min("value"), high=Max("value"), n=Count("id"), last=Max("step"))
        .order_by("bucket")
    )
    series = Series(name, UNITS.get(name, ""), facts["n"])
    for row in rows:
        series.step.append(row["last"])
        series.value.append(row["mean"])
        series.min.append(row["low"])
        series.max.append(row["high"])
        series.count.append(row["n"])
    series.non_finite = list(
        points.exclude(non_finite="").order_by("step").values_list("step", flat=True)[:1000]
    )
    return series


def _raw(points: QuerySet[MetricPoint], name: str) -> Series:
    series = Series(name, UNITS.get(name, ""), 0)
    for step, value in points.order_by("step", "attempt").values_list("step", "value"):
        series.step.append(step)
        for column in (series.value, series.min, series.max):
            column.append(value)
        series.count.append(1)
        if value is None:
            series.non_finite.append(step)
    series.total_points = series.shown
    return series
