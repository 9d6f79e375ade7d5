"""Put metric points into their table, many at a time and past the ORM, for feeding must be quick."""

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from django.db import connection, transaction

from runs.metrics.rollups import hold, refresh, touched_by
from runs.models import Attempt, MetricPoint

NON_FINITE = frozenset(word for word, _ in MetricPoint.NON_FINITE)
MAX_NAME = 80
MAX_STEP = 2**31 - 1

_COLUMNS = "run_id, attempt, superseded, name, step, value, non_finite, at"
# The first write wins: what is stored under the same run, attempt, name and step stays.
_ONE_BY_ONE = f"""
INSERT INTO runs_metricpoint ({_COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
"""  # noqa: S608  constants only
_AS_ARRAYS = f"""
INSERT INTO runs_metricpoint ({_COLUMNS})
SELECT %s, %s, %s, * FROM unnest(%s::text[], %s::int[], %s::float8[], %s::text[], %s::timestamptz[])
ON CONFLICT DO NOTHING
"""  # noqa: S608  constants only


class Point(NamedTuple):
    """One value as the table holds it: NULL with a word in ``non_finite`` where it is no number."""

    name: str
    step: int
    value: float | None
    non_finite: str
    at: dt.datetime


def points_of(*, step: Any, values: Mapping[str, Any], at: dt.datetime) -> list[Point]:
    """Check the values of one step, as a journal holds them, and give their points.

    Raises:
        ValueError: for a step, name or value that the table must not hold.
    """
    if type(step) is not int or not 0 <= step <= MAX_STEP:
        raise ValueError(f"{step!r} is no step")
    return [_point(name, step, value, at) for name, value in values.items()]


def _point(name: str, step: int, value: Any, at: dt.datetime) -> Point:
    if len(name) > MAX_NAME or "\x00" in name:
        raise ValueError(f"{name!r} is no name of a metric")
    if type(value) is float or type(value) is int:
        return Point(name, step, float(value), "", at)
    if value in NON_FINITE:
        return Point(name, step, None, value, at)
    raise ValueError(f"{value!r} is no value of a metric")


def insert_points(*, attempt: Attempt, points: list[Point]) -> None:
    """Store the points of an attempt and bring its rollups up to date; one that is there stays as it is."""
    if not points:
        return
    same = (attempt.run_id, attempt.number, False)
    with transaction.atomic(), connection.cursor() as cursor:
        hold(attempt.run_id)
        if connection.vendor == "postgresql":
            # One statement, planned once, however many points.
            cursor.execute(_AS_ARRAYS, [*same, *map(list, zip(*points, strict=True))])
        else:
            cursor.executemany(_ONE_BY_ONE, list(_rows(same, points)))
        refresh(attempt.run_id, touched_by((point.name, point.step) for point in points))


def _rows(same: tuple[int, int, bool], points: Iterable[Point]) -> Iterable[tuple[Any, ...]]:
    adapt = connection.ops.adapt_datetimefield_value
    last, text = None, None
    for *start, at in points:
        # All values of a step carry the same moment.
        if at is not last:
            last, text = at, adapt(at)
        yield (*same, *start, text)
