"""Compare the stored buckets of a run with its points, by other means than those that make them."""

import datetime as dt
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from django.db.models import QuerySet

from runs.metrics.levels import WIDTHS
from runs.metrics.slots import Slot
from runs.models import MetricBucket, MetricPoint, Run
from runs.states import ALIVE

# Sums differ in their last digits by the order in which they are added.
TOLERANCE = 1e-9
LARGEST_SUMMED = 1e298
FACTS = [
    "finite",
    "non_finite",
    "low",
    "high",
    "total",
    "first_step",
    "last_step",
    "last_value",
    "last_at",
    "newest",
]


class Key(NamedTuple):
    """Which bucket."""

    level: int
    name: str
    track: int
    bucket: int

    def __str__(self) -> str:
        overtaken = f" of attempt {self.track}, overtaken" if self.track else ""
        first = self.bucket * WIDTHS[self.level]
        return f"{self.name}{overtaken}, {WIDTHS[self.level]:,} steps from {first:,}"


class _Facts:
    """What a bucket should hold."""

    __slots__ = ("first", "newest", "size", "slot")

    def __init__(self, slot: Slot, newest: int) -> None:
        self.slot, self.newest, self.first = slot, newest, slot.step
        self.size = abs(slot.total or 0.0)

    @classmethod
    def of_point(cls, number: int, step: int, value: float | None, at: dt.datetime) -> "_Facts":
        """Begin with one point."""
        slot = Slot.of_point(step, value, at)
        if value is not None:
            slot.total = max(-LARGEST_SUMMED, min(value, LARGEST_SUMMED))
        return cls(slot, number)

    def add(self, other: "_Facts") -> None:
        """Take in what comes later, by step and attempt."""
        self.slot.add(other.slot)
        self.size += other.size
        self.newest = max(self.newest, other.newest)

    def copy(self) -> "_Facts":
        """Give the beginning of a wider bucket."""
        one = self.slot
        slot = Slot(one.finite, one.non_finite, one.low, one.high, one.total, one.step, one.last, one.at)
        other = _Facts(slot, self.newest)
        other.size, other.first = self.size, self.first
        return other

    def differing(self, row: tuple[Any, ...]) -> Iterator[str]:
        """Say in which columns a stored row differs."""
        slot = self.slot
        right: tuple[Any, ...] = (slot.finite, slot.non_finite, slot.low, slot.high, slot.total)
        right += (self.first, slot.step, slot.last, slot.at, self.newest)
        for name, stored, wanted in zip(FACTS, row, right, strict=True):
            if name == "total" and stored is not None and wanted is not None:
                if math.isclose(stored, wanted, rel_tol=TOLERANCE, abs_tol=TOLERANCE * self.size):
                    continue
            elif stored == wanted:
                continue
            yield f"{name} is {stored!r}, not {wanted!r}"


def differences(run: Run) -> Iterator[str]:
    """Say, in words, which buckets of a run are missing, too many or wrong.

    Of a run that is at work, only points are looked at that were there when its buckets were read.
    """
    stored = {
        Key(*row[:4]): row[4:]
        for row in MetricBucket.objects.filter(run=run)
        .order_by()
        .values_list("level", "name", "track", "bucket", *FACTS)
        .iterator()
    }
    points = MetricPoint.objects.filter(run=run)
    if run.status in ALIVE:
        points = points.filter(id__lte=max((row[-1] for row in stored.values()), default=0))
    for key, facts in _right(points):
        row = stored.pop(key, None)
        if row is None:
            yield f"{key}: it is missing"
        else:
            yield from (f"{key}: {what}" for what in facts.differing(row))
    for key in stored:
        yield f"{key}: there are no such points"


def _right(points: QuerySet[MetricPoint]) -> Iterator[tuple[Key, _Facts]]:
    """Go through the points and give each bucket once no more can come to it."""
    columns = ("id", "name", "step", "attempt", "superseded", "value", "at")
    rows = points.order_by("name", "step", "attempt").values_list(*columns).iterator()
    name, tracks = "", dict[int, _Tower]()
    for number, its_name, step, attempt, superseded, value, at in rows:
        if its_name != name:
            for tower in tracks.values():
                yield from tower.close(0)
            name, tracks = its_name, {}
        track = attempt if superseded else 0
        if track not in tracks:
            tracks[track] = _Tower(name, track)
        yield from tracks[track].add(0, step, _Facts.of_point(number, step, value, at))
    for tower in tracks.values():
        yield from tower.close(0)


class _Tower:
    """The buckets of a series, one of each width, to which points may still come."""

    def __init__(self, name: str, track: int) -> None:
        self.name, self.track = name, track
        self.open: dict[int, tuple[int, _Facts]] = {}

    def add(self, level: int, step: int, facts: _Facts) -> Iterator[tuple[Key, _Facts]]:
        """Take in what comes later than all before. Gives the buckets that end thereby."""
        bucket = step // WIDTHS[level]
        known = self.open.get(level)
        if known is not None and known[0] == bucket:
            known[1].add(facts)
            return
        if known is not None:
            yield from self._end(level)
        self.open[level] = (bucket, facts)

    def close(self, level: int) -> Iterator[tuple[Key, _Facts]]:
        """Give all buckets from a level up."""
        while level in self.open:
            yield from self._end(level)
            level += 1

    def _end(self, level: int) -> Iterator[tuple[Key, _Facts]]:
        bucket, facts = self.open.pop(level)
        yield Key(level, self.name, self.track, bucket), facts
        if level + 1 < len(WIDTHS):
            yield from self.add(level + 1, bucket * WIDTHS[level], facts.copy())
