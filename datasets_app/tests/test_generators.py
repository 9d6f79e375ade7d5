"""The generators: repeatable, balanced, distinct, right in every step."""

import ast
import operator
import re
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets_app.generators import FAMILIES, GENERATORS, check_steps, checker_for, checkers
from datasets_app.generators.addition import Addition, has_carry
from datasets_app.generators.chain import Chain
from datasets_app.generators.cups import Cups
from datasets_app.generators.draw import Draw
from datasets_app.generators.sorting import Sorting
from datasets_app.generators.specs import GeneratorSpec
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


def made(key: str, count: int, seed: int = 0):
    return list(GENERATORS[key].generate(count=count, seed=seed))


def contents(trace) -> list[str]:
    return [step.content for step in trace.record.steps]


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


def test_every_generated_step_passes_its_checker():
    for trace in made("golden-v2", 500) + made("chain-v1", 500):
        verdicts = check_steps(trace.family, trace.record.prompt, contents(trace))
        assert verdicts
        assert all(verdict is True for verdict in verdicts), trace


@given(data=st.data(), seed=st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_a_corrupted_step_fails(data, seed):
    trace = data.draw(st.sampled_from(made("golden-v2", 10, seed)))
    lines = contents(trace)
    at = data.draw(st.integers(0, len(lines) - 1))
    places = [place for place, character in enumerate(lines[at]) if character.isdigit()]
    place = data.draw(st.sampled_from(places))
    digit = data.draw(st.sampled_from("0123456789").filter(lambda new: new != lines[at][place]))
    lines[at] = lines[at][:place] + digit + lines[at][place + 1 :]
    verdicts = check_steps(trace.family, trace.record.prompt, lines)
    assert verdicts[at] is False
    assert all(verdict is True for verdict in verdicts[:at])


def test_a_later_step_is_judged_by_the_step_before_it_as_written():
    check = checkers()["chain"]
    prompt = "1+1+1+1+1+1+1+1+1"
    assert check(prompt, ["1+1=3", "3+1=4"]) == [False, True]
    assert check(prompt, ["1+1=3", "2+1=3"]) == [False, False]
    assert check(prompt, ["1+1=2", "hm", "3+1=4"]) == [True, False, None]


def test_a_step_too_many_fails():
    trace = made("chain-v1", 1)[0]
    last = trace.record.final_answer
    lines = [*contents(trace), f"{last}+0={last}"]
    assert check_steps("chain", trace.record.prompt, lines)[-1] is False


@pytest.mark.parametrize("family", list(FAMILIES))
def test_a_checker_says_nothing_about_a_foreign_prompt(family):
    check = checker_for(family)
    assert check is not None
    assert check("What is the capital of France?", ["Paris", "1+1=2"]) == [None, None]
    assert check("", []) == []


@pytest.mark.parametrize("family", list(FAMILIES))
@given(lines=st.lists(st.text(max_size=30), max_size=4))
@settings(max_examples=40, deadline=None)
def test_a_checker_survives_whatever_a_model_writes(family, lines):
    prompt = FAMILIES[family].solve(usable_prompt(family)).prompt
    assert len(FAMILIES[family].check(prompt, lines)) == len(lines)


def usable_prompt(family: str) -> str:
    tries = (FAMILIES[family].prompt_for(seed=0, index=0, attempt=attempt) for attempt in range(100))
    return next(prompt for prompt in tries if prompt)


def test_an_unknown_family_has_no_checker():
    assert checker_for("") is None
    assert check_steps("", "1+1", ["2"]) == [None]


# The answers, worked out again in another way than the generators do.


def test_chain_answers_are_right():
    apply = {"+": operator.add, "-": operator.sub, "*": operator.mul}
    for trace in made("chain-v1", 200):
        value = int(trace.record.prompt[0])
        for sign, digit in re.findall(r"([-+*])(\d)", trace.record.prompt[1:]):
            value = apply[sign](value, int(digit)) % 10
        assert trace.record.final_answer == str(value)
        assert len(trace.record.steps) == 8


def of_family(name: str):
    return [trace for trace in made("golden-v2", 1000) if trace.family == name]


def test_cups_answers_are_right():
    for trace in of_family("cups"):
        start, swaps = trace.record.prompt.removeprefix("ball ").split(": ")
        cups = ["", "", "", "", "", ""]
        cups[int(start)] = "ball"
        for swap in swaps.split():
            low, high = map(int, swap.split("-"))
            cups[low], cups[high] = cups[high], cups[low]
        assert trace.record.final_answer == str(cups.index("ball"))


def test_addition_answers_are_right_and_carry():
    for trace in of_family("addition"):
        left, right = map(int, trace.record.prompt.split("+"))
        assert trace.record.final_answer == str(left + right)
        assert any("carry 1" in line for line in contents(trace))


def test_sorting_answers_are_right():
    for trace in of_family("sorting"):
        numbers = [int(text) for text in trace.record.prompt.split()[1:]]
        assert [int(text) for text in trace.record.final_answer.split()] == sorted(numbers)


def test_word_problem_lines_are_true_equations_in_one_unit():
    factors = {"kg": 1000, "l": 1000, "m": 100, "km": 1000}
    for trace in of_family("word_problems"):
        for line in contents(trace):
            left, right = line.split(" = ")
            value, unit = right.split()
            if "km" in left and unit == "m":
                expected = int(left.split()[0]) * 1000
            elif {"kg", "l", "m"} & set(left.split()) and unit in {"g", "ml", "cm"}:
                parts = left.split()
                rest = int(parts[2]) if len(parts) > 2 else 0
                expected = int(parts[0]) * factors[parts[1]] + rest
            else:
                plain = re.sub(r"[a-z]+", "", left).replace("/", "//")
                expected = evaluate(plain)
            assert int(value) == expected, line
        assert trace.record.final_answer == contents(trace)[-1].split(" = ")[1]


def evaluate(text: str) -> int:
    node = ast.parse(text.strip(), mode="eval").body
    assert isinstance(node, ast.BinOp)
    left, right = int(ast.literal_eval(node.left)), int(ast.literal_eval(node.right))
    match node.op:
        case ast.Add():
            return left + right
        case ast.Sub():
            return left - right
        case ast.Mult():
            return left * right
        case _:
            return left // right


def test_shared_amounts_divide_without_a_rest():
    for trace in of_family("word_problems"):
        for line in contents(trace):
            if "/" in line:
                left, people = (int(re.sub(r"\D", "", side)) for side in line.split(" = ")[0].split("/"))
                assert left % people == 0


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


def test_the_forms_of_addition_ask_the_same_and_differ_in_their_steps():
    plain, turned, scratchpad = (
        made(f"addition-{form}-v1", 50) for form in ("plain", "reversed", "scratchpad")
    )
    for one, two, three in zip(plain, turned, scratchpad, strict=True):
        left, right = map(int, one.record.prompt.split("+"))
        assert one.record.prompt == two.record.prompt == three.record.prompt
        assert {str(left + right)} == {trace.record.final_answer for trace in (one, two, three)}
        assert contents(one) == []
        assert contents(two) == [f"reversed: {str(left + right)[::-1]}"]
        width = max(len(str(left)), len(str(right)))
        assert len(contents(three)) == width
        digits = "".join(line[2] for line in reversed(contents(three)))
        assert int(contents(three)[-1][-1] + digits) == left + right


@pytest.mark.parametrize("key", list(MORE_HASHES))
def test_every_family_of_its_own_is_found_by_its_checker(key):
    for trace in made(key, 20):
        steps = contents(trace)
        assert check_steps(trace.family, trace.record.prompt, steps) == [True] * len(steps)


def test_a_wrong_carry_in_a_scratchpad_is_seen():
    assert check_steps("addition_scratchpad", "58+67", ["A 5, C 0", "A 2, C 1"]) == [False, False]
    assert check_steps("addition_scratchpad", "58+67", ["A 5, C 1", "A 2, C 1"]) == [True, True]
