"""The steps and answers of the generators: right, and judged by the checker of their family."""

import ast
import operator
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets_app.generators import FAMILIES, GENERATORS, check_steps, checker_for, checkers
from datasets_app.tests.support_generators import contents, made


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


@pytest.mark.parametrize("key", [key for key, spec in GENERATORS.items() if len(spec.families) == 1])
def test_every_family_of_its_own_is_found_by_its_checker(key):
    for trace in made(key, 20):
        steps = contents(trace)
        assert check_steps(trace.family, trace.record.prompt, steps) == [True] * len(steps)


def test_a_wrong_carry_in_a_scratchpad_is_seen():
    assert check_steps("addition_scratchpad", "58+67", ["A 5, C 0", "A 2, C 1"]) == [False, False]
    assert check_steps("addition_scratchpad", "58+67", ["A 5, C 1", "A 2, C 1"]) == [True, True]
