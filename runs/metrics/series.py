"""What a chart is given: a series of points or buckets, its unit, and the cursor to go on from."""

from dataclasses import dataclass, field
from operator import attrgetter

from runs.metrics.slots import Slot, unix
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
        slots = sorted(slots, key=attrgetter("step"))
        counts = [slot.finite + slot.non_finite for slot in slots]
        return cls(
            name,
            UNITS.get(name, ""),
            sum(counts),
            step=[slot.step for slot in slots],
            value=[slot.mean for slot in slots],
            min=[slot.low for slot in slots],
            max=[slot.high for slot in slots],
            last=[slot.last for slot in slots],
            time=[unix(slot.at) for slot in slots],
            count=counts,
            non_finite_count=sum(slot.non_finite for slot in slots),
        )


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
