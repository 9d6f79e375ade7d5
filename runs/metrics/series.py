"""What a chart is given: a series of points or buckets, its unit, and the cursor to go on from."""

from dataclasses import dataclass, field

from runs.metrics.slots import Slot
from runs.metrics.units import UNITS
from tunix_site.errors import InvalidInputError

DEFAULT_POINTS = 1000
# So many steps of values that are not finite are named; `non_finite_count` counts them all.
MAX_NON_FINITE = 1000


@dataclass(slots=True)
class Series:
    """One metric of one run; the lists have one entry a shown point or bucket.

    ``value`` is a bucket's mean, ``last`` the value of its last point, ``time`` its moment (Unix seconds).
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
    last: list[float | None] = field(default_factory=list)
    time: list[float] = field(default_factory=list)
    count: list[int] = field(default_factory=list)
    non_finite: list[int] = field(default_factory=list)
    non_finite_count: int = 0
    attempt: int | None = None
    superseded: bool | None = None
    run_id: int | None = None

    @property
    def shown(self) -> int:
        """How many points or buckets are given."""
        return len(self.step)

    @classmethod
    def of(cls, name: str, slots: list[Slot]) -> "Series":
        """Make a series of what its slots hold, by step."""
        series = cls(name, UNITS.get(name, ""), 0)
        for slot in sorted(slots, key=lambda one: one.step):
            count = slot.finite + slot.non_finite
            series.step.append(slot.step)
            series.value.append(slot.mean)
            series.min.append(slot.low)
            series.max.append(slot.high)
            series.last.append(slot.last)
            series.time.append(slot.time)
            series.count.append(count)
            series.total_points += count
            series.non_finite_count += slot.non_finite
        return series


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
