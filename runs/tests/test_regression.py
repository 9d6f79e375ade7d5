"""Telling slower from noise: simulated timings with a known truth, and what the verdict must say."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runs.benchmarks.regression import DRAWS, TOLERANCE, compare, middle

REPEATS, STEPS, TRIALS = 5, 30, 20


def starts(
    source: random.Random, *, median: float, between: float = 0.01, within: float = 0.03, n: int = REPEATS
):
    """Draw step times: each start has a level of its own, slow moments last, some steps stall."""
    found = []
    for _ in range(n):
        level, drift, times = median * (1 + source.gauss(0, between)), 0.0, []
        for _ in range(STEPS):
            drift = 0.5 * drift + source.gauss(0, within)
            stall = source.expovariate(5) if source.random() < 0.1 else 0.0
            times.append(level * (1 + abs(drift) + stall))
        found.append(times)
    return found


def verdicts(factor: float) -> list[str]:
    found: list[str] = []
    for seed in range(TRIALS):
        source = random.Random(seed)
        before = starts(source, median=0.1)
        found.append(compare(starts(source, median=0.1 * factor), before).verdict)
    return found


def test_two_identical_benchmarks_are_no_difference_in_19_of_20_trials():
    assert verdicts(1.0).count("no difference") >= 19


def test_a_tenth_slower_is_found_in_19_of_20_trials():
    assert verdicts(1.1).count("slower") >= 19


def test_a_tenth_faster_is_found_too():
    assert verdicts(1 / 1.1).count("faster") >= 19


def test_noise_says_that_nobody_can_tell_and_how_many_starts_would():
    source = random.Random(1)
    noisy = [starts(source, median=0.1, between=0.06) for _ in range(2)]
    found = compare(*noisy)
    assert found.verdict == "can't tell"
    assert found.advised_repeats is not None
    assert found.advised_repeats > REPEATS
    assert f"about {found.advised_repeats} a side would tell" in found.in_words()
    assert not found.is_regression


def test_the_advice_holds_for_most_who_follow_it():
    settled = 0
    for seed in range(8):
        source = random.Random(seed)
        found = compare(*(starts(source, median=0.1, between=0.03) for _ in range(2)))
        if found.advised_repeats is None:
            settled += found.verdict != "can't tell"
            continue
        more = (starts(source, median=0.1, between=0.03, n=found.advised_repeats) for _ in range(2))
        settled += compare(*more).verdict != "can't tell"
    assert settled >= 6


def test_a_machine_that_is_too_noisy_gets_no_number():
    wild = [[0.1] * 5, [0.2] * 5, [0.05] * 5]
    found = compare(wild, wild)
    assert found.verdict == "can't tell"
    assert found.advised_repeats is None
    assert "too noisy" in found.in_words()


def test_a_change_within_the_tolerance_is_no_regression():
    source = random.Random(2)
    before = starts(source, median=0.1, between=0.001, within=0.002)
    after = starts(source, median=0.103, between=0.001, within=0.002)
    assert compare(after, before).verdict == "no difference"
    assert compare(after, before, tolerance=0.01).verdict == "slower"


def test_a_single_start_each_is_compared_with_what_is_assumed_between_starts():
    found = compare([[0.2] * 10], [[0.1] * 10])
    assert (found.verdict, found.repeats, found.baseline_repeats) == ("slower", 1, 1)
    assert found.low < found.ratio < found.high


@settings(max_examples=25, deadline=None)
@given(times=st.lists(st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=8), min_size=1, max_size=4))
def test_a_benchmark_against_itself_has_a_ratio_of_one_within_its_interval(times):
    found = compare(times, times)
    assert found.ratio == 1
    assert found.low <= 1 <= found.high
    assert compare(times, times) == found


@pytest.mark.parametrize("side", [[], [[]], [[0.1, 0.0]], [[-1.0]]])
def test_a_side_without_times_is_refused(side):
    with pytest.raises(ValueError, match="above zero"):
        compare(side, [[0.1]])
    with pytest.raises(ValueError, match="above zero"):
        compare([[0.1]], side)


def test_the_middle_is_the_median_of_medians():
    assert middle([[1.0, 2.0, 30.0], [4.0], [5.0, 5.0, 5.0, 5.0]]) == 4.0
    assert (TOLERANCE, DRAWS) == (0.05, 2000)
