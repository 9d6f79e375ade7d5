"""Series for charts: bounded in points, true to every extreme, and followed by a cursor."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runs.metrics.curves import read_series
from runs.metrics.rollups import overtake as overtake_points
from runs.metrics.series import Cursor, Series
from runs.models import Run
from runs.tests.support import make_run, write_points
from tunix_site.errors import InvalidInputError

pytestmark = pytest.mark.django_db


@pytest.fixture
def run():
    return make_run()


def read_one(run: Run, **options) -> Series:
    [series], _, _ = read_series(run=run, **options)
    return series


def overtake(run: Run, *, after_step: int) -> None:
    overtake_points(run.pk, attempt=1, step__gt=after_step)


def test_a_run_without_points_has_no_series(run):
    assert read_series(run=run) == ([], Cursor(0, 0), False)


def test_a_short_series_is_given_point_by_point(run):
    write_points(run, {1: 3.0, 2: 2.5, 5: 2.0})
    series = read_one(run, max_points=3)
    assert series.step == [1, 2, 5]
    assert series.value == series.min == series.max == [3.0, 2.5, 2.0]
    assert series.count == [1, 1, 1]
    assert (series.total_points, series.shown, series.unit) == (3, 3, "nats/token")


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    values=st.dictionaries(
        st.integers(0, 5000), st.none() | st.floats(-1e6, 1e6, width=32), min_size=1, max_size=150
    ),
    max_points=st.integers(1, 40),
)
def test_buckets_keep_the_true_extremes_and_counts_of_every_series(values, max_points):
    run = make_run()
    write_points(run, values)
    series = read_one(run, max_points=max_points)
    assert series.shown <= max_points
    assert series.total_points == sum(series.count) == len(values)
    assert series.step == sorted(set(series.step))
    low = -1
    for step, mean, least, most, count in zip(
        series.step, series.value, series.min, series.max, series.count, strict=True
    ):
        inside = [value for at, value in values.items() if low < at <= step]
        finite = [value for value in inside if value is not None]
        assert count == len(inside)
        assert (least, most) == ((min(finite), max(finite)) if finite else (None, None))
        assert mean == (pytest.approx(sum(finite) / len(finite), abs=1e-6) if finite else None)
        low = step
    assert series.non_finite == sorted(step for step, value in values.items() if value is None)


def test_one_spike_among_thousands_is_seen(run):
    write_points(run, dict.fromkeys(range(5000), 1.0) | {3333: 99.0})
    series = read_one(run, max_points=100)
    assert max(value or 0 for value in series.max) == 99.0
    assert series.min == [1.0] * series.shown


def test_names_and_steps_choose_what_is_read(run):
    write_points(run, {step: float(step) for step in range(10)})
    write_points(run, {5: 0.5}, name="eval/loss")
    series, _, _ = read_series(run=run, from_step=4, to_step=6)
    assert [(one.name, one.step) for one in series] == [("eval/loss", [5]), ("train/loss", [4, 5, 6])]
    assert read_one(run, names=["eval/loss"]).step == [5]
    assert read_series(run=run, names=["no/such"])[0] == []


def test_another_runs_points_are_not_read(run):
    write_points(make_run(), {1: 1.0})
    assert read_series(run=run)[0] == []


def test_the_cursor_gives_only_what_came_since(run):
    write_points(run, {1: 1.0, 2: 2.0})
    _, cursor, _ = read_series(run=run)
    assert read_series(run=run, after=cursor) == ([], cursor, False)
    write_points(run, {3: 3.0})
    series, newer, reset = read_series(run=run, after=cursor)
    assert [(one.step, one.value, one.total_points) for one in series] == [([3], [3.0], 3)]
    assert not reset
    assert read_series(run=run, after=newer)[0] == []


def test_a_reader_far_behind_gets_no_more_points_than_asked_for(run):
    write_points(run, {0: 1.0})
    _, cursor, _ = read_series(run=run)
    write_points(run, dict.fromkeys(range(1, 1000), 1.0))
    [series], _, _ = read_series(run=run, after=cursor, max_points=50)
    assert series.shown <= 50
    assert sum(series.count) == 999
    assert series.total_points == 1000


def test_a_resume_that_overtakes_points_resets_the_reader_once(run):
    write_points(run, dict.fromkeys(range(1, 8), 1.0))
    _, cursor, _ = read_series(run=run)
    Run.objects.filter(pk=run.pk).update(attempt=2)
    run.refresh_from_db()
    assert read_series(run=run, after=cursor) == ([], cursor, False)
    overtake(run, after_step=3)
    [series], cursor, reset = read_series(run=run, after=cursor)
    assert reset
    assert series.step == [1, 2, 3]
    write_points(run, {4: 2.0}, attempt=2)
    [series], _, reset = read_series(run=run, after=cursor)
    assert (series.step, series.total_points, reset) == ([4], 4, False)


def test_a_resume_that_overtakes_nothing_resets_nobody(run):
    write_points(run, {1: 1.0, 2: 1.0})
    _, cursor, _ = read_series(run=run)
    overtake(run, after_step=2)
    write_points(run, {3: 1.0}, attempt=2)
    [series], _, reset = read_series(run=run, after=cursor)
    assert (series.step, reset) == ([3], False)


@pytest.mark.parametrize("text", ["", "x", "1", "1.", ".1", "1.x", "-1.5", "1.2.3", "1." + "9" * 30, "²·³"])
def test_what_is_no_cursor_is_refused(text):
    with pytest.raises(InvalidInputError, match="no cursor"):
        Cursor.parse(text)


def test_a_cursor_survives_its_way_through_text():
    assert Cursor.parse(str(Cursor(12, 2**50))) == Cursor(12, 2**50)


def test_very_many_curves_share_what_one_answer_holds(run, monkeypatch):
    monkeypatch.setattr("runs.metrics.reading.MOST_SHOWN", 40)
    for name in "abcd":
        write_points(run, {step: float(step) for step in range(1000)}, name=name)
    series, _, _ = read_series(run=run, max_points=500)
    assert [one.total_points for one in series] == [1000] * 4
    assert all(5 <= one.shown <= 10 for one in series)
    assert read_one(run, names=["a"], max_points=30).shown > 10
