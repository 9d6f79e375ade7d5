"""What is said of the steps of a generated text, check by check."""

import time

import pytest

from training.examples import TraceExample
from training.grading.checks import CHECKS
from training.grading.samples import grade
from training.rendering import render

PROMPT = "Ann has 48 clips and sells half as many in May. How many in all?"
STEPS = ("48/2 = <<48/2=24>>24 in May", "48+24 = <<48+24=72>>72 in all")
WORDS = TraceExample("1" * 64, PROMPT, STEPS, "72")
CHAIN = TraceExample("2" * 64, "7+3*2", ("7+3=0", "0*2=0"), "0", "chain")


def chain_checker(prompt, steps):
    return [step in CHAIN.steps for step in steps]


def graded(text, example=WORDS, *, finished=True):
    return grade(example, text, finished=finished, checkers={"chain": chain_checker})


def test_a_trace_as_it_should_be_passes_every_check():
    sample = graded(render(STEPS, "72"))
    assert (sample.correct, sample.steps_valid, sample.first_wrong_step) == (True, (True, True), None)
    assert sample.checks == dict.fromkeys(CHECKS, True)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("48+24 = 72", "no answer"),
        ("48+24 = 72\n#72\n#72", "two answers"),
        ("48+24 = 72\n#72\nand more", "text after the answer"),
        ("48+24 = 72\n#", "an answer without text"),
        ("48+24 = 72\n#  ", "an answer of spaces"),
        ("48+24 = 72\n\n#72", "a step without text"),
        ("", "nothing"),
    ],
)
def test_the_form_is_steps_and_then_one_answer(text, reason):
    assert graded(text).checks["format"] is False, reason


def test_an_answer_that_was_cut_off_is_not_in_form_and_an_answer_alone_is():
    assert graded("48+24 = 72\n#7", finished=False).checks["format"] is False
    assert graded("#72").checks["format"] is True


@pytest.mark.parametrize(
    ("step", "verdict", "reason"),
    [
        ("48+24 = <<48+24=72>>72", True, "an annotation that is right"),
        ("48+24 = <<48+24=73>>73", False, "an annotation that is wrong"),
        ("48+24 = <<48+24=72>>73", False, "its result is written otherwise"),
        ("14 * 20 = <<5*20=100>>100", False, "another calculation stands before the annotation"),
        ("$6*2.50 = $<<6*3=18>>18", False, "with currency signs too"),
        ("7-13=<<7-4=3>>3 days a week", False, "whatever stands after it"),
        ("3/4 x 100% = <<3/4*100=75>>75%", True, "percent on one side"),
        ("5 1/2*2 = <<5.5*2=11>>11", True, "what goes on to the left is not read"),
        ("14 rows * 20 = <<14*20=280>>280", True, "nor what has words within"),
        ("48 + 24 = 72", True, "a plain equation"),
        ("48 + 24 = 73", False, "a plain equation that is wrong"),
        ("10 / 3 = 3.33", True, "rounded to the digits shown"),
        ("half of 48 + 24 = 48", None, "in doubt nothing is said"),
        ("<<six=6>>", None, "what cannot be read says nothing"),
        ("so there are many", None, "no arithmetic"),
        ("1 + 1 = 2. Then 48 + 24 = 73", False, "one wrong among right ones"),
    ],
)
def test_the_arithmetic_of_a_step_is_worked_out(step, verdict, reason):
    sample = graded(render([step], "72"))
    assert (sample.steps_valid, sample.checks["arithmetic"]) == ((verdict,), verdict), reason


def test_steps_of_a_family_are_judged_by_its_checker_alone():
    sample = graded(render(["7+3=0", "0*2=1"], "1"), CHAIN)
    assert sample.steps_valid == (True, False)
    assert sample.first_wrong_step == 1
    assert sample.checks["arithmetic"] is None, "7+3=0 is right modulo 10, and nobody else's business"


def test_a_family_without_a_checker_has_no_verdicts_on_steps():
    sample = grade(CHAIN, render(CHAIN.steps, "0"), finished=True, checkers={})
    assert (sample.steps_valid, sample.first_wrong_step) == ((None, None), None)


@pytest.mark.parametrize(
    ("steps", "verdict", "reason"),
    [
        (["48/2 = 24", "48+24 = 72"], True, "from the prompt, a constant, an earlier step"),
        (["48+19 = 67"], False, "19 comes from nowhere"),
        (["<<48+19=67>>67"], False, "nor in an annotation"),
        (["so it is 72"], None, "nothing is worked out"),
    ],
)
def test_numbers_are_carried_over_from_somewhere(steps, verdict, reason):
    assert graded(render(steps, "72")).checks["carried"] is verdict, reason


def test_the_last_step_is_held_against_the_answer_that_was_given():
    assert graded(render(["48+24 = 72"], "72")).checks["last_step"] is True
    assert graded(render(["48+24 = 72"], "71")).checks["last_step"] is False
    assert graded(render(["48+24 = 73"], "73")).checks["last_step"] is True, "consistent, though wrong"
    assert graded("#72").checks["last_step"] is None, "no step"
    assert graded("48+24 = 72").checks["last_step"] is None, "no answer"


def test_traces_that_never_end_in_their_answer_are_not_asked_to():
    turned = TraceExample("3" * 64, "482+97", ("reversed: 975",), "579", "addition_reversed")
    assert graded(render(turned.steps, "579"), turned).checks["last_step"] is None


def test_a_thousand_samples_are_graded_in_a_moment():
    steps = [f"{digit}+3={(digit + 3) % 10}" for digit in range(8)]
    texts = [render(steps, str(place % 10)) for place in range(1000)]
    example = TraceExample("4" * 64, "0+3+3+3", tuple(steps), "0", "chain")
    began = time.process_time()
    for text in texts:
        graded(text, example)
    assert time.process_time() - began < 1
