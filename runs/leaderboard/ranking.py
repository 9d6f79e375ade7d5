"""Ranks that say no more than the intervals do."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rank:
    """The places that an entry may have: those whose interval lies wholly above are better for sure."""

    best: int
    worst: int

    def __str__(self) -> str:
        return str(self.best) if self.best == self.worst else f"{self.best}–{self.worst}"


def ranks(intervals: Sequence[tuple[float, float]]) -> list[Rank]:
    """Give each entry its places, by the intervals of all.

    An entry is ahead of another where its lower bound lies above the other's upper bound; two that touch are
    a tie. Where intervals overlap two may still differ for sure on the same prompts: the paired test says.
    """
    lows, highs = sorted(low for low, _ in intervals), sorted(high for _, high in intervals)
    count = len(intervals)
    return [
        Rank(count - bisect_right(lows, high) + 1, count - bisect_left(highs, low)) for low, high in intervals
    ]
