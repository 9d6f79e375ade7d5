"""Ranks that say no more than the intervals do."""

from hypothesis import given
from hypothesis import strategies as st

from runs.leaderboard.ranking import ranks

SHARES = st.floats(0, 1)
INTERVALS = st.lists(st.tuples(SHARES, SHARES).map(sorted).map(tuple), max_size=30)


def test_intervals_that_overlap_share_places():
    found = ranks([(0.90, 0.95), (0.88, 0.92), (0.70, 0.89), (0.10, 0.20)])
    assert [str(one) for one in found] == ["1–2", "1–3", "2–3", "4"]


def test_a_single_entry_is_first_and_touching_intervals_tie():
    assert [str(one) for one in ranks([(0.4, 0.6)])] == ["1"]
    assert [str(one) for one in ranks([(0.5, 0.6), (0.4, 0.5)])] == ["1–2", "1–2"]
    assert ranks([]) == []


@given(INTERVALS)
def test_places_count_who_is_better_and_worse_for_sure(intervals):
    for (low, high), rank in zip(intervals, ranks(intervals), strict=True):
        better = sum(other_low > high for other_low, _ in intervals)
        worse = sum(other_high < low for _, other_high in intervals)
        assert (rank.best, rank.worst) == (better + 1, len(intervals) - worse)
        assert rank.best <= rank.worst
