"""Keep the buckets of metric series true to their points.

Whoever writes or marks points tells here which steps they touched, in the same transaction. The finest
buckets there are made anew from the points and the wider ones from these, so nothing depends on the
order in which points came, or on how often.
"""

from collections.abc import Iterable, Iterator
from itertools import batched
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import Max, Min, QuerySet

from runs.metrics import sql
from runs.metrics.levels import WHOLE, WIDTHS
from runs.models import MetricBucket, MetricPoint, Run

STRETCHES_A_STATEMENT = 500


class Stretch(NamedTuple):
    """Steps of one series, both ends included; ``track`` 0 is the curve, k what attempt k lost."""

    name: str
    track: int
    first: int
    last: int


def hold(run_id: int) -> None:
    """Let nobody else change the points of the run until the transaction ends.

    Two that make the same bucket anew at a time would not see each other's points. SQLite has one writer.
    """
    list(Run.objects.select_for_update(no_key=True).filter(pk=run_id).order_by().values_list("pk"))


def touched_by(points: Iterable[tuple[str, int]]) -> list[Stretch]:
    """Give the stretches of the curves that hold points of these names and steps."""
    width = WIDTHS[0]
    buckets: dict[str, set[int]] = {}
    for name, step in points:
        if name in buckets:
            buckets[name].add(step // width)
        else:
            buckets[name] = {step // width}
    return [
        Stretch(name, 0, first * width, last * width)
        for name, numbers in buckets.items()
        for first, last in _joined((number, number) for number in numbers)
    ]


def refresh(run_id: int, stretches: Iterable[Stretch], *, emptied: bool = False) -> None:
    """Make all buckets anew that touch the stretches. ``emptied``: points may have left some of them."""
    spans: dict[tuple[str, int], list[tuple[int, int]]] = {}
    for name, track, first, last in stretches:
        spans.setdefault((name, track), []).append((first // WIDTHS[0], last // WIDTHS[0]))
    if not spans:
        return
    with connection.cursor() as cursor:
        for level, width in enumerate(WIDTHS):
            factor = width // WIDTHS[level - 1] if level else width
            # From the second level on, the spans of the level below become those of this one.
            for key, span in spans.items():
                spans[key] = _joined((a // factor, b // factor) if level else (a, b) for a, b in span)
            if emptied:
                _forget(run_id, level, spans)
            rows = (
                (name, track, first * factor, last * factor + factor - 1)
                for (name, track), span in spans.items()
                for first, last in span
            )
            for some in batched(rows, STRETCHES_A_STATEMENT):
                text = sql.make_level(level, len(some)) if level else sql.make_finest(len(some))
                cursor.execute(text, [*(value for row in some for value in row), run_id])


def _joined(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join spans that overlap or touch: a bucket in two of them would count twice."""
    joined: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        else:
            joined.append((first, last))
    return joined


def _forget(run_id: int, level: int, spans: dict[tuple[str, int], list[tuple[int, int]]]) -> None:
    for (name, track), span in spans.items():
        for first, last in span:
            MetricBucket.objects.filter(
                run_id=run_id, level=level, name=name, track=track, bucket__range=(first, last)
            ).delete()


def names_of(run_id: int) -> list[str]:
    """List the names of a run's metrics, from the points themselves."""
    with connection.cursor() as cursor:
        cursor.execute(sql.NAMES, [run_id, run_id])
        return [name for (name,) in cursor.fetchall()]


def overtake(run_id: int, *, prefix: str = "", **which: Any) -> None:
    """Mark those points of a run as overtaken by a later attempt whose names begin so and ``which`` fits."""
    with transaction.atomic():
        hold(run_id)
        # With the names given, the index finds the steps: a resume costs what it overtakes.
        names = [name for name in names_of(run_id) if name.startswith(prefix)]
        points = MetricPoint.objects.filter(run_id=run_id, name__in=names, superseded=False, **which)
        moved = list(_extents(points))
        if not moved:
            return
        points.update(superseded=True)
        left = [Stretch(name, 0, first, last) for name, _, first, last in moved]
        refresh(run_id, left, emptied=True)
        refresh(run_id, moved)


def _extents(points: QuerySet[MetricPoint]) -> Iterator[Stretch]:
    """Give from where to where each attempt has points of each name, as stretches of overtaken series."""
    rows = points.order_by().values_list("name", "attempt").annotate(first=Min("step"), last=Max("step"))
    for name, attempt, first, last in rows:
        yield Stretch(name, attempt, first, last)


def rebuild(run_id: int) -> int:
    """Make all buckets of a run anew. Returns how many series it has."""
    with transaction.atomic():
        hold(run_id)
        MetricBucket.objects.filter(run_id=run_id).delete()
        for name in names_of(run_id):
            points = MetricPoint.objects.filter(run_id=run_id, name=name)
            overtaken = list(_extents(points.filter(superseded=True)))
            shown = points.filter(superseded=False).aggregate(first=Min("step"), last=Max("step"))
            if shown["first"] is not None:
                overtaken.append(Stretch(name, 0, shown["first"], shown["last"]))
            refresh(run_id, overtaken)
        return MetricBucket.objects.filter(run_id=run_id, level=WHOLE).count()
