"""Read curves at a cost that follows the points shown, not the points stored.

A curve of many points is read from stored buckets of the largest width that fits; where a range of steps
begins or ends within one, its part is put together from smaller buckets and points: every range is exact.
All curves of one question are read by the same few statements.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import batched
from typing import Any, NamedTuple

from django.db import connection

from runs.metrics import sql
from runs.metrics.levels import POINTS, WHOLE, WIDTHS, Piece, cover, level_for
from runs.metrics.series import MAX_NON_FINITE, Series
from runs.metrics.slots import Slot
from runs.models import MetricBucket

# So many points or buckets go into one answer: of very many curves each gets fewer than was asked for.
MOST_SHOWN = 500_000
# SQLite joins at most 500 selects.
SELECTS_A_STATEMENT = 200

type Select = tuple[str, list[Any]]


@dataclass(frozen=True, slots=True)
class Curve:
    """A stored series, of which the steps from ``first`` to ``last`` are wanted."""

    whole: MetricBucket
    first: int
    last: int

    @classmethod
    def within(cls, whole: MetricBucket, first: int | None, last: int | None) -> "Curve | None":
        """Narrow a range to where the series has points; None where it has none there."""
        begin = max(whole.first_step, 0 if first is None else first)
        end = min(whole.last_step, whole.last_step if last is None else last)
        return cls(whole, begin, end) if begin <= end else None

    @property
    def is_whole(self) -> bool:
        """Whether all of it is wanted."""
        return self.first == self.whole.first_step and self.last == self.whole.last_step


class _Grid(NamedTuple):
    """How a curve is cut: from ``origin``, every ``width`` steps, out of buckets of ``level``."""

    level: int
    origin: int
    width: int


def wholes(runs: Iterable[int], names: Sequence[str] = ()) -> list[MetricBucket]:
    """Give what is known of each whole series of runs, by run and name; also of overtaken ones."""
    rows = MetricBucket.objects.filter(run_id__in=list(runs), level=WHOLE)
    if names:
        rows = rows.filter(name__in=names)
    return list(rows.order_by("run_id", "name", "track"))


def read_curves(curves: Sequence[Curve], max_points: int) -> list[Series]:
    """Read curves, each cut to at most ``max_points`` buckets unless it has no more points than that.

    Curves without points in their range are left empty. Many curves share `MOST_SHOWN`.
    """
    max_points = max(1, min(max_points, MOST_SHOWN // max(1, len(curves))))
    few = {
        number for number, curve in enumerate(curves) if curve.is_whole and curve.whole.points <= max_points
    }
    found: dict[int, list[Slot]] = {number: [] for number in range(len(curves))}
    cut = {number: _grid(curve, max_points) for number, curve in enumerate(curves) if number not in few}
    for number, slots in _cut(curves, cut).items():
        if sum(slot.finite + slot.non_finite for slot in slots) <= max_points:
            few.add(number)
        else:
            found[number] = slots
    for number, step, value, at in _fetch(_points(number, curves[number]) for number in sorted(few)):
        found[number].append(Slot.of_point(step, value, at))
    made = [Series.of(curve.whole.name, found[number]) for number, curve in enumerate(curves)]
    marked = [number for number, series in enumerate(made) if series.non_finite_count]
    for number, step in _fetch(_non_finite(number, curves[number]) for number in marked):
        made[number].non_finite.append(step)
    for number in marked:
        made[number].non_finite.sort()
    return made


def _grid(curve: Curve, max_points: int) -> _Grid:
    span = curve.last - curve.first + 1
    level = level_for(-(-span // max_points))
    if level == POINTS:
        return _Grid(level, curve.first, -(-span // max_points))
    unit = WIDTHS[level]
    origin = curve.first // unit * unit
    # Whole buckets of the level, so many that they are no more than asked for.
    return _Grid(level, origin, -(-(curve.last - origin + 1) // (max_points * unit)) * unit)


def _cut(curves: Sequence[Curve], cut: dict[int, _Grid]) -> dict[int, list[Slot]]:
    slots: dict[int, dict[int, Slot]] = {number: {} for number in cut}
    selects = (
        _group(number, curves[number], grid, piece)
        for number, grid in cut.items()
        for piece in _pieces(curves[number], grid.level)
    )
    for number, place, *facts in _fetch(selects):
        known = slots[number].setdefault(place, slot := Slot(*facts))
        if known is not slot:
            known.add(slot)
    return {number: list(one.values()) for number, one in slots.items()}


def _pieces(curve: Curve, level: int) -> Iterator[Piece]:
    first, last = curve.first, curve.last
    if level != POINTS:
        # Beyond the ends of the series there is nothing that must be kept out.
        width = WIDTHS[level]
        first = first // width * width if first == curve.whole.first_step else first
        last = (last // width + 1) * width - 1 if last == curve.whole.last_step else last
    return cover(first, last, level)


def _group(number: int, curve: Curve, grid: _Grid, piece: Piece) -> Select:
    """Select the buckets of a piece: curve, place in the grid, and what `Slot` takes.

    The constants stand outside of the groups, which are sorted by their place alone.
    """
    whole = curve.whole
    columns = f"{number}, f.place, f.finite, f.non_finite, f.low, f.high, f.total"
    if piece.level == POINTS:
        where, parameters = _where(curve, piece.first, piece.last)
        return (
            f"""SELECT {columns}, l.step, l.value, l.at
FROM (SELECT (p.step - {grid.origin}) / {grid.width} AS place, {sql.OF_POINTS}
    FROM runs_metricpoint p WHERE {where} GROUP BY (p.step - {grid.origin}) / {grid.width}) f
CROSS JOIN runs_metricpoint l WHERE l.run_id = {whole.run_id} AND l.name = %s
    AND l.step = f.tip / 2147483648 AND l.attempt = f.tip %% 2147483648""",  # noqa: S608  numbers of ours
            [*parameters, whole.name],
        )
    width = WIDTHS[piece.level]
    place = f"(b.bucket * {width} - {grid.origin}) / {grid.width}"
    series = f"run_id = {whole.run_id} AND {{0}}.level = {piece.level} AND {{0}}.name = %s"
    series += f" AND {{0}}.track = {whole.track}"
    return (
        f"""SELECT {columns}, l.last_step, l.last_value, l.last_at
FROM (SELECT {place} AS place, {sql.OF_BUCKETS}
    FROM runs_metricbucket b WHERE b.{series.format("b")}
        AND b.bucket BETWEEN {piece.first // width} AND {piece.last // width} GROUP BY {place}) f
CROSS JOIN runs_metricbucket l WHERE l.{series.format("l")} AND l.bucket = f.tip""",  # noqa: S608  numbers of ours
        [whole.name, whole.name],
    )


def _points(number: int, curve: Curve) -> Select:
    where, parameters = _where(curve, curve.first, curve.last)
    return (
        f"""SELECT * FROM (SELECT {number} AS number, p.step, p.value, p.at FROM runs_metricpoint p
WHERE {where} AND p.id <= {curve.whole.newest} ORDER BY p.step, p.attempt) ordered""",  # noqa: S608  numbers of ours and constants
        parameters,
    )


def _non_finite(number: int, curve: Curve) -> Select:
    where, parameters = _where(curve, curve.first, curve.last)
    return (
        f"""SELECT * FROM (SELECT {number} AS number, p.step FROM runs_metricpoint p
WHERE {where} AND p.value IS NULL ORDER BY p.step LIMIT {MAX_NON_FINITE}) listed""",  # noqa: S608  numbers of ours and constants
        parameters,
    )


def _where(curve: Curve, first: int, last: int) -> Select:
    """Say which points p are of a curve; everything that is put into the text is a number of ours."""
    whole = curve.whole
    track = f"p.superseded AND p.attempt = {whole.track}" if whole.track else "NOT p.superseded"
    text = f"p.run_id = {whole.run_id} AND p.name = %s AND p.step BETWEEN {first} AND {last} AND {track}"
    return text, [whole.name]


def _fetch(selects: Iterable[Select]) -> Iterator[Any]:
    with connection.cursor() as cursor:
        for some in batched(selects, SELECTS_A_STATEMENT):
            cursor.execute(
                " UNION ALL ".join(text for text, _ in some),
                [value for _, parameters in some for value in parameters],
            )
            yield from cursor.fetchall()
