"""Rollups hold what brute force finds in the points, however these came, and charts read it back exactly."""

import datetime as dt
import math
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runs.metrics.checking import differences
from runs.metrics.curves import read_series
from runs.metrics.history import overtaken_series
from runs.metrics.levels import POINTS, WHOLE, WIDTHS, cover, level_for
from runs.metrics.points import Point, insert_points
from runs.metrics.rollups import overtake, rebuild
from runs.metrics.series import Series
from runs.models import Attempt, MetricBucket, MetricPoint, Run
from runs.tests.support import make_run

pytestmark = pytest.mark.django_db

NAMES = ("eval/loss", "train/loss")
BEGAN = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
EXAMPLES = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)

# Mostly near each other, so that buckets are shared, and some far off, so that every width is met.
STEPS = st.integers(0, 300) | st.integers(0, 5000) | st.integers(0, 2**31 - 1)
VALUES = st.floats(-1e6, 1e6) | st.sampled_from([math.nan, math.inf, -math.inf, 0.0, 5e-324, 1.7e308, -1e300])
BATCHES = st.tuples(
    st.just("store"),
    st.integers(1, 4),
    st.lists(st.tuples(st.sampled_from(NAMES), STEPS, VALUES), max_size=40),
)
RESUMES = st.tuples(st.just("resume"), st.integers(2, 4), STEPS)
HISTORIES = st.lists(BATCHES | RESUMES, max_size=8)


def point(name: str, step: int, value: float) -> Point:
    at = BEGAN + dt.timedelta(seconds=step)
    if math.isfinite(value):
        return Point(name, step, value, "", at)
    return Point(name, step, None, "nan" if math.isnan(value) else "inf" if value > 0 else "-inf", at)


def store(run: Run, attempt: int, values: Sequence[tuple[str, int, float]]) -> None:
    insert_points(attempt=Attempt(run=run, number=attempt), points=[point(*value) for value in values])


def made_by(history) -> Run:
    run = make_run()
    for what, attempt, given_ in history:
        if what == "store":
            store(run, attempt, given_)
        else:
            overtake(run.pk, attempt__lt=attempt, step__gt=given_)
    return run


def points_of(run: Run, name: str, **which) -> list[MetricPoint]:
    return list(MetricPoint.objects.filter(run=run, name=name, **which).order_by("step", "attempt"))


def clipped(value: float) -> float:
    return max(-1e298, min(value, 1e298))


def mean(points: Sequence[MetricPoint]) -> float | None:
    finite = [point.value for point in points if point.value is not None]
    if len(finite) < 2:
        return finite[0] if finite else None
    return math.fsum(map(clipped, finite)) / len(finite)


def assert_is_of(series: Series, points: Sequence[MetricPoint], max_points: int) -> None:
    """Every shown bucket holds exactly the points up to its step, and all that is said of them is true."""
    assert series.shown <= max_points or len(points) <= max_points
    assert series.total_points == sum(series.count) == len(points)
    assert series.shown == len(points) if len(points) <= max_points else series.shown >= 1
    rest = list(points)
    for place, count in enumerate(series.count):
        inside, rest = rest[:count], rest[count:]
        finite = [point.value for point in inside if point.value is not None]
        last = inside[-1]
        assert series.step[place] == last.step
        assert series.last[place] == last.value
        assert series.time[place] == pytest.approx(last.at.timestamp())
        assert (series.min[place], series.max[place]) == (
            min(finite, default=None),
            max(finite, default=None),
        )
        wanted = mean(inside)
        size = max(map(abs, map(clipped, finite)), default=0)
        found = series.value[place]
        assert (found is None) == (wanted is None)
        assert (
            found is None or wanted is None or math.isclose(found, wanted, rel_tol=1e-9, abs_tol=1e-9 * size)
        )
    steps = [point.step for point in points if point.value is None]
    assert (series.non_finite, series.non_finite_count) == (steps, len(steps))


@EXAMPLES
@given(history=HISTORIES)
def test_rollups_equal_brute_force_after_any_history(history):
    run = made_by(history)
    assert list(differences(run)) == []
    for name in NAMES:
        points = points_of(run, name, superseded=False)
        whole = MetricBucket.objects.filter(run=run, level=WHOLE, name=name, track=0).first()
        assert (whole is not None) == bool(points)
        if whole is None:
            continue
        assert whole.points == len(points)
        assert whole.non_finite == sum(point.value is None for point in points)
        assert (whole.first_step, whole.last_step) == (points[0].step, points[-1].step)
        assert (whole.last_value, whole.last_at) == (points[-1].value, points[-1].at)
        assert whole.newest == max(point.pk for point in points)
    before = list(MetricBucket.objects.filter(run=run).order_by("level", "name", "track", "bucket").values())
    rebuild(run.pk)
    after = list(MetricBucket.objects.filter(run=run).order_by("level", "name", "track", "bucket").values())
    for one, other in zip(before, after, strict=True):
        assert {**one, "id": 0, "total": 0} == {**other, "id": 0, "total": 0}


@EXAMPLES
@given(
    values=st.lists(st.tuples(st.just("train/loss"), STEPS, VALUES), min_size=1, max_size=60),
    order=st.randoms(use_true_random=False),
    size=st.integers(1, 20),
)
def test_neither_order_nor_batches_nor_repeats_matter(values, order, size):
    first_of = {step: (name, step, value) for name, step, value in reversed(values)}
    run, other = make_run(), make_run()
    store(run, 1, list(first_of.values()))
    shuffled = list(first_of.values()) * 2
    order.shuffle(shuffled)
    for start in range(0, len(shuffled), size):
        store(other, 1, shuffled[start : start + size])
    assert list(differences(other)) == []
    [series], _, _ = read_series(run=run, max_points=7)
    [same], _, _ = read_series(run=other, max_points=7)
    for one, two in zip(same.value, series.value, strict=True):
        assert one is two is None or one == pytest.approx(two, rel=1e-9, abs=1e-3)
    for column in ("step", "min", "max", "last", "count", "non_finite", "total_points"):
        assert getattr(same, column) == getattr(series, column)


@EXAMPLES
@given(
    steps=st.sets(STEPS, min_size=1, max_size=120) | st.integers(1, 3000).map(lambda n: set(range(n))),
    values=st.lists(VALUES, min_size=1, max_size=7),
    ends=st.tuples(st.none() | STEPS, st.none() | STEPS),
    max_points=st.integers(1, 30) | st.integers(1, 2000),
)
def test_any_range_is_read_as_brute_force_would(steps, values, ends, max_points):
    run = make_run()
    store(run, 1, [("train/loss", step, values[step % len(values)]) for step in steps])
    first, last = ends
    points = [
        point
        for point in points_of(run, "train/loss")
        if (first is None or point.step >= first) and (last is None or point.step <= last)
    ]
    found, _, _ = read_series(run=run, from_step=first, to_step=last, max_points=max_points)
    assert len(found) == bool(points)
    if points:
        assert_is_of(found[0], points, max_points)


@EXAMPLES
@given(history=HISTORIES, max_points=st.integers(1, 12))
def test_curves_and_what_was_overtaken_are_read_as_brute_force_would(history, max_points):
    run = made_by(history)
    series, cursor, _ = read_series(run=run, max_points=max_points)
    shown = {name: points for name in NAMES if (points := points_of(run, name, superseded=False))}
    assert [one.name for one in series] == list(shown)
    for one in series:
        assert_is_of(one, shown[one.name], max_points)
    overtaken = overtaken_series(run, max_points=max_points)
    for one in overtaken:
        assert_is_of(one, points_of(run, one.name, superseded=True, attempt=one.attempt), max_points)
    counted = MetricPoint.objects.filter(run=run, superseded=True).count()
    assert sum(one.total_points for one in overtaken) == cursor.overtaken == counted


@EXAMPLES
@given(ends=st.tuples(STEPS, STEPS), level=st.integers(POINTS, WHOLE))
def test_a_range_is_covered_once_and_by_few_pieces(ends, level):
    first, last = sorted(ends)
    pieces = sorted(cover(first, last, level), key=lambda piece: piece.first)
    assert (pieces[0].first, pieces[-1].last) == (first, last)
    for one, following in pairwise(pieces):
        assert one.last + 1 == following.first
    for piece in pieces:
        if piece.level != POINTS:
            assert piece.first % WIDTHS[piece.level] == (piece.last + 1) % WIDTHS[piece.level] == 0
    assert len(pieces) <= 2 * len(WIDTHS) + 1


@pytest.mark.parametrize("width", [1, 2, 15, 16, 17, 100, 1000, 10**6, 2**31 - 1])
def test_a_level_is_neither_wider_than_the_buckets_nor_needlessly_narrow(width):
    level = level_for(width)
    if level == POINTS:
        assert width < WIDTHS[0]
    else:
        assert WIDTHS[level] <= width
        assert level == WHOLE - 1 or width < 8 * WIDTHS[level]


def test_a_million_steps_are_shown_in_nearly_as_many_buckets_as_asked_for():
    run = make_run()
    store(run, 1, [("train/loss", step, 1.0) for step in range(0, 1_000_000, 500)])
    [series], _, _ = read_series(run=run, max_points=1000)
    assert 600 < series.shown <= 1000
    assert series.total_points == 2000


def test_a_point_that_is_not_there_twice_keeps_its_first_value():
    run = make_run()
    store(run, 1, [("train/loss", 1, 1.0)])
    store(run, 1, [("train/loss", 1, 99.0), ("train/loss", 2, 2.0)])
    whole = MetricBucket.objects.get(run=run, level=WHOLE)
    assert (whole.low, whole.high, whole.points) == (1.0, 2.0, 2)


def test_what_the_rollups_lack_or_have_wrong_is_found():
    run = make_run()
    store(run, 1, [("train/loss", step, float(step)) for step in range(40)])
    finest = MetricBucket.objects.filter(run=run, level=0)
    finest.filter(bucket=0).update(high=99.0)
    finest.filter(bucket=1).delete()
    MetricBucket.objects.filter(run=run, level=WHOLE).update(bucket=7)
    found = list(differences(run))
    assert "train/loss, 16 steps from 0: high is 99.0, not 15.0" in found
    assert "train/loss, 16 steps from 16: it is missing" in found
    assert any("there are no such points" in text for text in found)
    rebuild(run.pk)
    assert list(differences(run)) == []
