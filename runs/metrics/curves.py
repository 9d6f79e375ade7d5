"""The curves of a run as they stand, and what came to them since a reader last asked."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection

from runs.metrics.reading import Curve, read_curves, wholes
from runs.metrics.series import DEFAULT_POINTS, Cursor, Series
from runs.metrics.slots import Slot
from runs.models import MetricBucket, Run

# A reader that is further behind is given everything again, which costs less than looking through so many.
FAR_BEHIND = 50_000
# Points may come while series are read; then they are read again, so often at most.
TRIES = 3


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
        The series by name, the new cursor, and whether the reader must drop what it has, because a resume
        superseded some of it or because it is far behind (the series are then complete again).
    """
    for _ in range(TRIES):
        known = wholes([run.pk])
        cursor = Cursor(
            sum(row.points for row in known if row.track), max((row.newest for row in known), default=0)
        )
        shown = [row for row in known if not row.track and (not names or row.name in names)]
        reset = after is not None and (
            after.overtaken != cursor.overtaken or cursor.point - after.point > FAR_BEHIND
        )
        if after is not None and not reset:
            return _since(shown, after, cursor, (from_step, to_step), max_points), cursor, False
        curves = _within(shown, from_step, to_step)
        series = read_curves(curves, max_points)
        if all(
            one.total_points == curve.whole.points
            for one, curve in zip(series, curves, strict=True)
            if curve.is_whole
        ):
            break
    return [one for one in series if one.total_points], cursor, reset


def read_runs(
    *,
    runs: Sequence[int],
    names: Sequence[str] = (),
    from_step: int | None = None,
    to_step: int | None = None,
    max_points: int = DEFAULT_POINTS,
) -> Mapping[int, list[Series]]:
    """Read the curves of several runs, by run and name, by as many statements as those of one."""
    curves = _within([row for row in wholes(runs, names) if not row.track], from_step, to_step)
    found: dict[int, list[Series]] = {number: [] for number in runs}
    for curve, series in zip(curves, read_curves(curves, max_points), strict=True):
        if series.total_points:
            found[curve.whole.run_id].append(series)
    return found


def newest_points(run: Run, names: Sequence[str] = ()) -> dict[str, MetricBucket]:
    """Give of each curve of a run what is known of the whole: its last value and step among it."""
    return {row.name: row for row in wholes([run.pk], names) if not row.track}


def _within(rows: Sequence[MetricBucket], first: int | None, last: int | None) -> list[Curve]:
    return [curve for row in rows if (curve := Curve.within(row, first, last)) is not None]


def _since(
    shown: Sequence[MetricBucket],
    after: Cursor,
    cursor: Cursor,
    steps: tuple[int | None, int | None],
    max_points: int,
) -> list[Series]:
    """Read the points that came between two cursors; many of one series come in buckets too."""
    rows = {row.name: row for row in shown if row.newest > after.point}
    if not rows:
        return []
    fresh = _fresh_points(rows, after, cursor, steps)
    found = [Series.of(name, _bucketed(slots, max_points)) for name, slots in sorted(fresh.items())]
    for series in found:
        series.non_finite = [slot.step for slot in fresh[series.name] if slot.non_finite]
        series.total_points = rows[series.name].points
    if steps != (None, None):
        curves = [curve for one in found if (curve := Curve.within(rows[one.name], *steps))]
        for series, counted in zip(found, read_curves(curves, 1), strict=True):
            series.total_points = counted.total_points
    return found


def _fresh_points(
    rows: Mapping[str, MetricBucket], after: Cursor, cursor: Cursor, steps: tuple[int | None, int | None]
) -> dict[str, list[Slot]]:
    run_id = next(iter(rows.values())).run_id
    conditions = [
        # `+ 0` keeps planners off the index by run, in which the newest points lie scattered.
        "p.run_id + 0 = %s",
        "p.id > %s",
        "p.id <= %s",
        "NOT p.superseded",
        f"p.name IN ({', '.join(['%s'] * len(rows))})",
    ]
    parameters: list[Any] = [run_id, after.point, cursor.point, *rows]
    for condition, step in zip(("p.step >= %s", "p.step <= %s"), steps, strict=True):
        if step is not None:
            conditions.append(condition)
            parameters.append(step)
    fresh: dict[str, list[Slot]] = {}
    with connection.cursor() as database:
        database.execute(
            f"""SELECT p.name, p.step, p.value, p.at FROM runs_metricpoint p
WHERE {" AND ".join(conditions)} ORDER BY p.step, p.attempt""",  # noqa: S608  constants only
            parameters,
        )
        for name, step, value, at in database.fetchall():
            fresh.setdefault(name, []).append(Slot.of_point(step, value, at))
    return fresh


def _bucketed(slots: list[Slot], max_points: int) -> list[Slot]:
    """Join the points of a series, which come by step, until there are few enough."""
    if len(slots) <= max_points:
        return slots
    first = slots[0].step
    width = -(-(slots[-1].step - first + 1) // max_points)
    joined: dict[int, Slot] = {}
    for slot in slots:
        place = (slot.step - first) // width
        if place in joined:
            joined[place].add(slot)
        else:
            joined[place] = Slot.of_point(slot.step, slot.last, slot.at)
    return list(joined.values())
