"""Comparing two histories, value by value."""

from hypothesis import given
from hypothesis import strategies as st

from runs.comparing import compare, is_compared, relative_difference

NUMBERS = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(["nan", "inf", "-inf"]))
SERIES = st.dictionaries(st.integers(1, 50), NUMBERS, min_size=1)


@given(series=SERIES)
def test_a_history_is_identical_to_itself(series):
    found = compare({"train/loss": series}, {"train/loss": dict(series)})
    assert found.identical
    assert (found.points, found.identical_until) == (len(series), max(series))


@given(series=SERIES, data=st.data())
def test_one_changed_point_is_found_at_its_step(series, data):
    step = data.draw(st.sampled_from(sorted(series)))
    changed = {**series, step: "other"}
    found = compare({"train/loss": series}, {"train/loss": changed})
    assert found.first is not None
    assert found.first.first_step == step
    assert found.identical_until == max((one for one in series if one < step), default=0)
    assert found.metrics[0].equal_points == len(series) - 1


@given(series=SERIES, data=st.data())
def test_a_point_that_is_missing_is_a_difference(series, data):
    step = data.draw(st.sampled_from(sorted(series)))
    less = {key: value for key, value in series.items() if key != step}
    assert not compare({"eval/loss": series}, {"eval/loss": less}).identical


@given(one=NUMBERS, other=NUMBERS)
def test_a_relative_difference_is_symmetric_and_bounded(one, other):
    found = relative_difference(one, other)
    assert found == relative_difference(other, one)
    assert found is None or 0 <= found <= 2


def test_timings_and_steps_beyond_the_last_do_not_count():
    before = {"train/loss": {1: 1.0, 2: 2.0}, "train/step_time": {1: 0.1}}
    after = {"train/loss": {1: 1.0}, "train/step_time": {1: 0.2}, "system/compile_time": {1: 3.0}}
    assert compare(before, after, to_step=1).identical
    assert not is_compared("system/checkpoint_stall")
    assert compare({}, {}).identical_until is None
    assert not compare({}, {}).identical


def test_a_metric_that_older_versions_did_not_record_is_compared_where_both_have_it():
    loss = {"train/loss": {1: 2.0}}
    assert compare(loss, {**loss, "train/epoch": {1: 0.5}}).identical
    assert not compare({**loss, "train/epoch": {1: 0.25}}, {**loss, "train/epoch": {1: 0.5}}).identical
    assert not compare(loss, {**loss, "train/grad_norm": {1: 0.5}}).identical
