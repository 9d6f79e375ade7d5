"""The generators: repeatable, balanced, distinct, and bounded by the prompts there are."""

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets_app.generators import GENERATORS
from datasets_app.generators.addition import Addition, has_carry
from datasets_app.generators.chain import Chain
from datasets_app.generators.cups import Cups
from datasets_app.generators.draw import Draw
from datasets_app.generators.sorting import Sorting
from datasets_app.generators.specs import GeneratorSpec
from datasets_app.tests.support_generators import made
from datasets_app.traces import (
    ContentHasher,
    normalise_prompt,
    prompt_hash,
    split_of,
    trace_hash,
    validate_trace,
)
from tunix_site.errors import InvalidInputError

GOLDEN_HASHES = {
    "golden-v1": "bae1fbd9ba343f30441a8fa1af536f6595335fc76b8840da3bed9d7ed908ad22",
    "golden-v2": "6c810773ee4e8c2e83e6746d4d7d653eb5a5d2c963b7bf657e6adf0a9d8053f5",
    "chain-v1": "75cb472ccf1b038a07d0f360ddab4aa4f24789ea42f8cb9bd637470ebf8e57a5",
}

MORE_HASHES = {
    "chain-short-v1": "5458114369f21939629e6a1957b3fffb42ff9b5137c751ec056653fd057122d5",
    "chain-long-v1": "2b9c6fe00fc4f9f912fe4c63b35a56f35a9f2ddb8f7db618489679d0d9d4e95c",
    "cups-v1": "73bab6407c4375e98322c6d89457637623a6afcaeb8d19075c177c220eaee9e0",
    "cups-many-v1": "a2c7cca6c6167eb055743e66f9487d54de484241a5ba9dc328385f95b659a1d9",
    "addition-plain-v1": "8d32473eab85b4957cf039a2a911dd191ebbf30b291dd576144ce8ad03d651f6",
    "addition-reversed-v1": "99abd949fc979efb80028523fc4c48045879ad9d320d5e4012e5c415c5b6f8e3",
    "addition-scratchpad-v1": "cdcf3bb576b858cf5c664c0d4b29630a26b74605ed606af8c68135308cfe65be",
    "sorting-v1": "54726fd3eb85035c7ddddc5d6fdbef7273d6794ebaeb724475e7751588b90880",
    "word-problems-v1": "3aa78d974bdd088e2101cdd002608a5447a1b668b07af22389b30644db0252cb",
}

HASH_PROGRAM = """
from datasets_app.generators import GENERATORS
from datasets_app.traces import ContentHasher, prompt_hash, split_of, trace_hash
for key, spec in GENERATORS.items():
    hasher = ContentHasher()
    for made in spec.generate(count=spec.default_count, seed=0):
        record = made.record
        digest = trace_hash(record.prompt, record.steps, record.final_answer)
        hasher.add(split=split_of(prompt_hash(record.prompt)), content_hash=digest)
    print(key, hasher.hexdigest())
"""


@pytest.mark.parametrize(
    "environment", [{"PYTHONHASHSEED": "1"}, {"PYTHONHASHSEED": "77", "TZ": "Asia/Tokyo"}]
)
def test_the_golden_hashes_hold_in_every_process(environment):
    done = subprocess.run(
        [sys.executable, "-c", HASH_PROGRAM], env=environment, capture_output=True, text=True, check=True
    )
    assert dict(line.split() for line in done.stdout.splitlines()) == GOLDEN_HASHES | MORE_HASHES


@pytest.mark.parametrize("key", list(GENERATORS))
def test_a_smaller_count_is_the_beginning_of_a_larger_one(key):
    larger = min(200, GENERATORS[key].capacity)
    smaller = larger // 2
    assert made(key, larger)[:smaller] == made(key, smaller)


@given(count=st.integers(1, 60), more=st.integers(0, 60), seed=st.integers(0, 2**31 - 1))
@settings(max_examples=20, deadline=None)
def test_the_beginning_is_stable_for_every_seed(count, more, seed):
    assert made("golden-v2", count + more, seed)[:count] == made("golden-v2", count, seed)


def test_another_seed_gives_other_traces():
    one = {trace.record.prompt for trace in made("golden-v2", 100, seed=0)}
    other = {trace.record.prompt for trace in made("golden-v2", 100, seed=1)}
    assert len(one & other) < 5


def test_golden_v2_is_balanced_over_five_families():
    families = [trace.family for trace in made("golden-v2", 103)]
    counts = {family.name: families.count(family.name) for family in GENERATORS["golden-v2"].families}
    assert set(counts) == {"chain", "cups", "addition", "sorting", "word_problems"}
    assert max(counts.values()) - min(counts.values()) <= 1


@pytest.mark.parametrize("key", list(GENERATORS))
def test_all_prompts_are_distinct_and_all_traces_are_valid(key):
    traces = made(key, GENERATORS[key].default_count)
    assert len({normalise_prompt(trace.record.prompt) for trace in traces}) == len(traces)
    for trace in traces:
        validate_trace(trace.record)


def test_chain_v1_has_about_5000_traces_to_train_and_over_500_to_test():
    sides = [split_of(prompt_hash(trace.record.prompt)) for trace in made("chain-v1", 5600)]
    assert (sides.count("train"), sides.count("test")) == (5026, 574)


def test_golden_v1_has_traces_on_both_sides():
    sides = [split_of(prompt_hash(trace.record.prompt)) for trace in made("golden-v1", 5)]
    assert set(sides) == {"train", "test"}


# Counts


def small_spec(*families) -> GeneratorSpec:
    return GeneratorSpec(key="small-v1", version=1, default_count=1, summary="", families=families)


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        (Chain(operations=1), {f"{a}{o}{b}" for a in range(10) for o in "+-" for b in range(10)}),
        (Cups(cups=3, swaps=1), None),
        (Addition(shortest=2, longest=2), None),
        (Sorting(shortest=2, longest=2), None),
    ],
)
def test_the_capacity_is_the_number_of_distinct_prompts(family, expected):
    everything = {family.draw(Draw(str(number))) for number in range(120_000)} - {""}
    assert len(everything) == family.capacity
    assert not expected or expected < everything


def test_the_capacity_of_addition_counts_the_pairs_that_carry():
    pairs = ((str(left), str(right)) for left in range(1, 1000) for right in range(1, 1000))
    assert sum(has_carry(left, right) for left, right in pairs) == Addition(1, 3).capacity


def test_all_prompts_there_are_can_be_drawn_and_no_more():
    spec = small_spec(Chain(operations=1))
    assert len({trace.record.prompt for trace in spec.generate(count=250, seed=0)}) == 250
    with pytest.raises(InvalidInputError, match="only 250 distinct prompts"):
        list(spec.generate(count=251, seed=0))


def test_the_smallest_family_bounds_a_mixture():
    assert small_spec(Cups(cups=3, swaps=1), Chain()).capacity == 2 * 9


@pytest.mark.parametrize(
    ("key", "count", "seed", "words"),
    [
        ("golden-v2", 0, 0, "at least 1"),
        ("golden-v2", -3, 0, "at least 1"),
        ("golden-v2", 1_000_001, 0, "at most 1000000"),
        ("golden-v1", 6, 0, "only 5 distinct prompts"),
        ("golden-v2", 10, -1, "seed is -1"),
        ("golden-v2", 10, 2**31, "seed is"),
    ],
)
def test_a_count_or_seed_that_cannot_be_served_is_refused(key, count, seed, words):
    with pytest.raises(InvalidInputError, match=words):
        list(GENERATORS[key].generate(count=count, seed=seed))


# The draw


def test_a_draw_is_fixed_by_its_name():
    assert [Draw("a").below(1000) for _ in range(3)] == [Draw("a").below(1000)] * 3
    one, other = Draw("a"), Draw("b")
    assert [one.below(10) for _ in range(30)] != [other.below(10) for _ in range(30)]


def test_a_draw_is_even():
    draw = Draw("even")
    counts = [0] * 6
    for _ in range(12_000):
        counts[draw.below(6)] += 1
    assert all(1800 < count < 2200 for count in counts)


def test_a_sample_has_different_members():
    draw = Draw("sample")
    for _ in range(100):
        taken = draw.sample(range(7), 5)
        assert len(set(taken)) == 5
        assert set(taken) <= set(range(7))


def test_content_hashes_differ_between_keys():
    assert len(set((GOLDEN_HASHES | MORE_HASHES).values())) == len(GENERATORS)
    assert ContentHasher().hexdigest() not in GOLDEN_HASHES.values()
    assert trace_hash("a", [], "b") != trace_hash("ab", [], "")
