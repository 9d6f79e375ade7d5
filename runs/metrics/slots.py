"""One shown point or bucket, put together from points and stored buckets."""

import datetime as dt
from typing import Any


def unix(moment: Any) -> float:
    """Give a moment, as a raw query reads it from either database, in Unix seconds."""
    if isinstance(moment, str):
        moment = dt.datetime.fromisoformat(moment).replace(tzinfo=dt.UTC)
    return float(moment.timestamp())


class Slot:
    """What is known of the points between two steps; more of them can be added in any order."""

    __slots__ = ("at", "finite", "high", "last", "low", "non_finite", "step", "total")

    def __init__(
        self,
        finite: int,
        non_finite: int,
        low: float | None,
        high: float | None,
        total: float | None,
        step: int,
        last: float | None,
        at: Any,
    ) -> None:
        self.finite, self.non_finite = finite, non_finite
        self.low, self.high, self.total = low, high, total
        self.step, self.last, self.at = step, last, at

    @classmethod
    def of_point(cls, step: int, value: float | None, at: Any) -> "Slot":
        """Begin with one point."""
        return cls(int(value is not None), int(value is None), value, value, value, step, value, at)

    @property
    def mean(self) -> float | None:
        """The mean of the finite values."""
        if self.total is None or self.finite == 1:
            return self.low
        return self.total / self.finite

    def add(self, other: "Slot") -> None:
        """Take in what another one holds; of one step, what is added later counts as the later point."""
        self.finite += other.finite
        self.non_finite += other.non_finite
        if other.low is not None and other.high is not None and other.total is not None:
            first = self.low is None or self.high is None or self.total is None
            self.low = other.low if first else min(self.low, other.low)  # type: ignore[type-var]
            self.high = other.high if first else max(self.high, other.high)  # type: ignore[type-var]
            self.total = other.total if self.total is None else self.total + other.total
        if other.step >= self.step:
            self.step, self.last, self.at = other.step, other.last, other.at
