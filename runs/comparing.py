"""Compare the metric histories of two runs, value by value. Pure: it knows neither tables nor files."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

# A number, the word for one that is not finite (nan, inf, -inf), or None where there is no point.
Value = float | str | None
Series = Mapping[int, float | str]

# How long something took says nothing about whether it came out the same.
_TIMINGS = frozenset({"train/step_time", "train/tokens_per_second"})
# Not recorded by every version; a run that has none of them lost nothing.
_IF_IN_BOTH = frozenset({"train/epoch", "train/tokens_seen"})


@dataclass(frozen=True, slots=True)
class MetricComparison:
    """One metric in both runs.

    ``first_step``: where the two differ first, None where they never do; ``before`` and
    ``after`` are the values there. The relative differences lie between 0 and 2, and are None
    where no step has a finite number in both.
    """

    name: str
    points: int
    equal_points: int
    first_step: int | None
    before: Value
    after: Value
    max_relative: float | None
    final_relative: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """All metrics of two runs.

    ``identical_until``: the last compared step up to which every point is equal, 0 where the
    first one already differs, None where there was nothing to compare.
    """

    metrics: tuple[MetricComparison, ...]
    points: int
    identical_until: int | None

    @property
    def first(self) -> MetricComparison | None:
        """The metric that differs first, by step and then by name; None where all are equal."""
        found = [row for row in self.metrics if row.first_step is not None]
        return min(found, key=lambda row: (row.first_step, row.name), default=None)

    @property
    def identical(self) -> bool:
        """Whether there was something to compare and all of it is equal."""
        return self.points > 0 and self.first is None


def is_compared(name: str) -> bool:
    """Tell whether a metric must repeat: all of training and evaluation but what a clock says."""
    return name.startswith(("train/", "eval/")) and name not in _TIMINGS


def compare(
    before: Mapping[str, Series],
    after: Mapping[str, Series],
    *,
    after_step: int = 0,
    to_step: int | None = None,
) -> Comparison:
    """Compare every point of two histories, by metric and step, from ``after_step`` (excluded) on.

    A point that only one of them has is a difference. ``to_step`` is the last step that counts.
    """

    def wanted(series: Series) -> dict[int, float | str]:
        return {
            step: value
            for step, value in series.items()
            if step > after_step and (to_step is None or step <= to_step)
        }

    told = {*before, *after} - (_IF_IN_BOTH - ({*before} & {*after}))
    names = sorted(name for name in told if is_compared(name))
    pairs = {name: (wanted(before.get(name, {})), wanted(after.get(name, {}))) for name in names}
    metrics = tuple(_compare_one(name, *pair) for name, pair in pairs.items() if pair[0] or pair[1])
    steps = {step for pair in pairs.values() for series in pair for step in series}
    first = min((row.first_step for row in metrics if row.first_step is not None), default=None)
    until = None
    if steps:
        until = max((step for step in steps if first is None or step < first), default=after_step)
    return Comparison(metrics, sum(row.points for row in metrics), until)


def relative_difference(one: Value, other: Value) -> float | None:
    """Give the difference as a share of the larger magnitude; None where one is no finite number."""
    if not isinstance(one, float | int) or not isinstance(other, float | int):
        return None
    if not (math.isfinite(one) and math.isfinite(other)):
        return None
    scale = max(abs(one), abs(other))
    # Each by itself, for the difference of two huge numbers may be too large for a float.
    return abs(one / scale - other / scale) if scale and one != other else 0.0


def _same(one: Value, other: Value) -> bool:
    """Tell whether two values are the same to the bit: zero has a sign."""
    if isinstance(one, float | int) and isinstance(other, float | int):
        return one == other and math.copysign(1, one) == math.copysign(1, other)
    return one == other


def _compare_one(name: str, before: Series, after: Series) -> MetricComparison:
    steps = sorted({*before, *after})
    differing = [step for step in steps if not _same(before.get(step), after.get(step))]
    relative = [
        found
        for step in steps
        if (found := relative_difference(before.get(step), after.get(step))) is not None
    ]
    first = differing[0] if differing else None
    last = steps[-1]
    return MetricComparison(
        name=name,
        points=len(steps),
        equal_points=len(steps) - len(differing),
        first_step=first,
        before=None if first is None else before.get(first),
        after=None if first is None else after.get(first),
        max_relative=max(relative, default=None),
        final_relative=relative_difference(before.get(last), after.get(last)),
    )
