"""What is recorded of an update, and when the meter's thread comes late."""

import threading

import pytest

pytest.importorskip("jax")

import numpy as np

from training.metering import THROUGHPUT_SECONDS, StepMeter
from training.tests.support import MemoryRecorder


class OnDevice:
    """An array of a device that is done when it is told so."""

    def __init__(self) -> None:
        self.done = threading.Event()

    def block_until_ready(self) -> "OnDevice":
        assert self.done.wait(10)
        return self

    def is_ready(self) -> bool:
        return self.done.is_set()

    def __array__(self, dtype=None, copy=None):
        # Loss 2 over weight 1, norm 1, rate 0.1, nothing skipped.
        return np.asarray([2.0, 1.0, 1.0, 0.1, 0.0, 0.0], dtype)


@pytest.fixture
def recorder():
    return MemoryRecorder()


@pytest.fixture
def meter(recorder):
    made = StepMeter(recorder, skip_limit=3, epochs_a_step=0.25, last_step=12)
    yield made
    made.close()


def test_updates_that_had_ended_by_the_time_it_looked_share_the_time(meter, recorder):
    meter.start()
    first, second = OnDevice(), OnDevice()
    meter.add(1, first, 100)
    meter.add(2, second, 100)
    second.done.set()
    first.done.set()
    meter.flush()
    (_, one), (_, two) = recorder.series("train/step_time")
    assert one == two


def test_the_throughput_is_that_of_the_updates_of_late(meter, recorder):
    meter.start()
    ended = OnDevice()
    ended.done.set()
    for step in range(1, 12):
        meter.add(step, ended, 100)
        meter.flush()
    times = [seconds for _, seconds in recorder.series("train/step_time")]
    rates = [rate for _, rate in recorder.series("train/tokens_per_second")]
    assert sum(times) < THROUGHPUT_SECONDS
    for number, rate in enumerate(rates, 1):
        assert rate == pytest.approx(100 * number / sum(times[:number]))


def test_a_new_interval_forgets_the_throughput_before_it(meter, recorder):
    ended = OnDevice()
    ended.done.set()
    for step in (1, 2):
        meter.start()
        meter.add(step, ended, 100)
        meter.flush()
    times = dict(recorder.series("train/step_time"))
    assert dict(recorder.series("train/tokens_per_second"))[2] == pytest.approx(100 / times[2])


def test_tokens_seen_go_on_from_where_a_checkpoint_left_them(meter, recorder):
    ended = OnDevice()
    ended.done.set()
    meter.tokens_seen = 950
    for step in (9, 10, 11, 12):
        meter.add(step, ended, 50)
    meter.flush()
    assert recorder.series("train/tokens_seen") == [(10, 1050.0), (12, 1150.0)]
    assert recorder.series("train/epoch") == [(10, 2.5), (12, 3.0)]


def test_tokens_that_nobody_counted_are_not_made_up(meter, recorder):
    ended = OnDevice()
    ended.done.set()
    meter.tokens_seen = None
    meter.add(1, ended, 50)
    meter.flush()
    assert recorder.series("train/tokens_seen") == []
    assert recorder.series("train/epoch") == [(1, 0.25)]
