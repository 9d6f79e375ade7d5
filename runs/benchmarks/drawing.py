"""Pictures of benchmarks as plain geometry, which templates draw as SVG; lengths in units of the view box."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from runs.models import Benchmark

WIDTH: Final = 1000
TREND_HEIGHT: Final = 160
# Distance of the outermost points from the border.
MARGIN: Final = 12
COLOURS: Final = 6


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an update's time: seconds, its share of the update, and where its bar lies."""

    name: str
    seconds: float
    share: float
    x: float
    width: float
    colour: int


@dataclass(frozen=True, slots=True)
class TrendPoint:
    """A benchmark in a trend: its place, and the ends of the line from its 10th to its 90th percentile."""

    row: Benchmark
    x: float
    y: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Trend:
    """Median step times of one recipe on one device, the oldest first; ``top`` and ``bottom`` in seconds."""

    points: list[TrendPoint]
    path: str
    top: float
    bottom: float


def step_parts(record: dict[str, Any]) -> list[Part]:
    """Say where the time of an update goes: forward, backward, optimizer.

    The parts were timed by themselves, so what is left for one is never less than nothing.
    """
    parts = record.get("parts")
    if not parts:
        return []
    whole = parts["update"]["median"]
    forward = min(whole, parts["forward"]["median"])
    both = min(whole, max(forward, parts["forward_backward"]["median"]))
    seconds = {
        "forward": forward,
        "backward": both - forward,
        "optimizer and rest": whole - both,
    }
    found, x = [], 0.0
    for number, (name, time) in enumerate(seconds.items()):
        share = time / whole
        found.append(Part(name, time, share, round(x, 2), round(WIDTH * share, 2), number % COLOURS + 1))
        x += WIDTH * share
    return found


def trend(rows: Sequence[Benchmark]) -> Trend | None:
    """Lay out the medians of some benchmarks in the order given; None for fewer than two."""
    timed = [row for row in rows if row.step_time_median and "step_time" in row.record]
    if len(timed) < 2:
        return None
    top = max(row.record["step_time"]["p90"] for row in timed)
    bottom = min(row.record["step_time"]["p10"] for row in timed)
    span = (top - bottom) or top

    def y(seconds: float) -> float:
        return round(float(MARGIN + (top - seconds) / span * (TREND_HEIGHT - 2 * MARGIN)), 2)

    gap = (WIDTH - 2 * MARGIN) / (len(timed) - 1)
    points = []
    for number, row in enumerate(timed):
        times = row.record["step_time"]
        points.append(
            TrendPoint(
                row, round(MARGIN + number * gap, 2), y(times["median"]), y(times["p10"]), y(times["p90"])
            )
        )
    path = " ".join(f"{point.x},{point.y}" for point in points)
    return Trend(points, path, top, bottom)
