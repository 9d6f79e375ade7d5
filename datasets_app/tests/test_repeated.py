"""Finding what is repeated in little memory gives what tables would give."""

from array import array
from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from datasets_app.quality.prompts import PromptAnswers
from datasets_app.quality.repeated import MaybeSeen, repeated

HASHES = st.integers(0, 40) | st.integers(0, 2**64 - 1)


@given(st.lists(HASHES))
def test_equal_hashes_are_grouped_in_order(values):
    places = defaultdict(list)
    for place, value in enumerate(values):
        places[value].append(place)
    assert repeated(array("Q", values)) == [group for group in places.values() if len(group) > 1]


@given(st.sets(HASHES), st.sets(HASHES))
def test_no_hash_that_was_taken_in_is_left_out(taken, asked):
    seen = MaybeSeen(expected=len(taken))
    seen.add(taken)
    assert seen.keep(asked) >= taken & asked


def test_few_other_hashes_are_kept():
    seen = MaybeSeen(expected=1000)
    seen.add({hash((number, "a")) & (2**64 - 1) for number in range(1000)})
    others = {hash((number, 0.5)) & (2**64 - 1) for number in range(10_000)}
    assert len(seen.keep(others)) < 1000


def test_each_trace_that_answers_otherwise_than_the_first_is_named_with_it():
    prompts = PromptAnswers()
    for position, (prompt, answer) in enumerate(
        [("b", "2"), ("a", "1"), ("A ", " 1 "), ("a", "3"), ("b", "4"), ("a", "1"), ("c", "1")]
    ):
        prompts.add(position, prompt, answer)
    assert prompts.differing() == [(1, 3), (0, 4)]
