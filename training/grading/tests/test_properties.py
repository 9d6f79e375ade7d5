"""What holds of every grader and every checker on whatever anybody writes."""

import random
import string
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from training.examples import TraceExample
from training.grading.boxed import last_boxed
from training.grading.graders import GRADERS
from training.grading.numbers import read_quantity
from training.grading.samples import grade
from training.grading.steps import check_written
from training.grading.texts import normalise

NAMES = [name for name, grader in GRADERS.items() if not grader.missing()]
# Of characters that mean something to a grader, and of any others.
PIECES = [
    *"0123456789", *"+-−,.%$€/:^*=#<>(){}[]\\ \n\t", "½", "²", "٣", "１", "e", "x", "A", "I", "B",
    "nan", "or", "inf", "####", "#### ", "\\boxed{", "\\fbox{", "\\frac{1}{2}", "<<", ">>", "<<1+1=2>>",
    "answer is ", "1,000", " million", " apples", "1e9", "\ud800", "\x00", "ß", "İ", "🙂", "\u202e",
]  # fmt: skip
SPICED = st.lists(st.sampled_from(PIECES), max_size=25).map("".join)
ANYTHING = SPICED | st.text(max_size=60) | st.text(alphabet=string.printable, max_size=60)
SAFE = settings(deadline=None, max_examples=300)


def drawn(count: int, seed: int) -> list[str]:
    """Random strings, always the same: of pieces, of any characters, short and long."""
    draw = random.Random(seed)
    texts = []
    for place in range(count):
        size = draw.choice((1, 3, 8, 20, 200 if place % 50 == 0 else 30))
        if place % 2:
            texts.append("".join(draw.choice(PIECES) for _ in range(size)))
        else:
            texts.append(
                "".join(chr(draw.choice((draw.randrange(128), draw.randrange(0x11000)))) for _ in range(size))
            )
    return texts


def test_ten_thousand_random_strings_never_raise_in_any_grader_or_checker():
    texts = drawn(10_000, seed=9)
    other = texts[1:] + texts[:1]
    graders = [GRADERS[name] for name in NAMES]
    for given_text, expected in zip(texts, other, strict=True):
        for grader in graders:
            verdict = grader.compare(given_text, expected)
            assert len(verdict.rule) <= 40
        steps = given_text.split("\n")
        found = check_written([None] * len(steps), expected, steps, expected)
        assert {one.verdict for one in found.annotations} <= {"right", "rounded", "wrong", "unreadable"}


def test_ten_thousand_random_texts_never_raise_when_they_are_graded_in_full():
    texts = drawn(10_000, seed=10)
    graders = [GRADERS[name] for name in NAMES]
    for place, (text, expected) in enumerate(zip(texts, texts[1:] + texts[:1], strict=True)):
        example = TraceExample("0" * 64, expected, (expected,), expected)
        sample = grade(
            example, text, finished=place % 3 > 0, checkers={}, grader=graders[place % len(graders)]
        )
        assert len(sample.steps_valid) == len(sample.generated_steps)
        assert set(sample.checks) == {"format", "arithmetic", "carried", "last_step"}


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("gsm8k")])
@SAFE
@given(answer=ANYTHING)
def test_what_equals_the_expected_answer_to_the_letter_is_right(name, answer):
    assume(answer)
    assert GRADERS[name].compare(answer, answer).correct


@pytest.mark.parametrize("name", ["gsm8k_strict", "gsm8k_flexible"])
@SAFE
@given(number=st.decimals(allow_nan=False, allow_infinity=False, places=2) | st.integers())
def test_the_harness_holds_every_number_for_equal_to_itself(name, number):
    text = f"{number:f}" if not isinstance(number, int) else str(number)
    assert GRADERS[name].compare(text, text).correct


@pytest.mark.parametrize("name", NAMES)
@SAFE
@given(answer=ANYTHING, expected=ANYTHING)
def test_the_same_question_has_the_same_verdict(name, answer, expected):
    assert GRADERS[name].compare(answer, expected) == GRADERS[name].compare(answer, expected)


@SAFE
@given(ANYTHING)
def test_a_normalised_text_ignores_case_and_surrounding_space(text):
    assert normalise(f"  {text}\n") == normalise(text)
    assert normalise(text.swapcase()) == normalise(text) or not text.isascii()


NUMBERS = st.integers(-(10**9), 10**9)


@SAFE
@given(NUMBERS)
def test_commas_signs_spaces_and_zeros_do_not_change_a_number(number):
    value = read_quantity(str(number))
    assert value is not None
    assert value.value == number
    for spelling in (
        f"{number:,}", f"{number:+}", f" {number} ", f"{number}.", f"{number}.00", f"{number:+,}.0",
        f"{number}".replace("-", "−"), f"{number}".replace("-", "- "), f"{number}e0", f"{number * 100}%",
        f"{number * 3}/3", f"{number:011}", f"{number:e}" if abs(number) < 10**6 else str(number),
    ):  # fmt: skip
        assert read_quantity(spelling) == value, spelling


@SAFE
@given(st.integers(0, 10**6), st.integers(1, 999), st.integers(2, 1000))
def test_a_mixed_number_is_whole_and_part(whole, part, of):
    assume(part < of)
    found = read_quantity(f"{whole} {part}/{of}")
    assert found is not None
    assert found.value == whole + Fraction(part, of)


SPELLINGS = st.builds(
    lambda number, form: form.format(number=number),
    st.integers(-20, 20),
    st.sampled_from(
        ["{number}", "{number}.0", "{number:+}", "{number}/1", "{number}00%", "{number}e0", "{number}.", "x"]
    ),
)


WITH_UNITS = st.builds(
    "{} {}".format, SPELLINGS, st.sampled_from(["km", "kilometres", "apple", "apples", "dollars", "m", "m/s"])
)
TRIPLES = st.tuples(SPELLINGS, SPELLINGS, SPELLINGS) | st.tuples(WITH_UNITS, WITH_UNITS, WITH_UNITS)


@SAFE
@given(TRIPLES)
def test_equality_of_numbers_is_an_equivalence(triple):
    one, two, three = triple

    def same(left: str, right: str) -> bool:
        return GRADERS["numeric"].compare(left, right).correct

    assert same(one, one)
    assert same(one, two) == same(two, one)
    assert not (same(one, two) and same(two, three)) or same(one, three)


@SAFE
@given(ANYTHING, ANYTHING)
def test_which_of_two_answers_was_expected_does_not_matter_to_their_equality(one, two):
    for name in ("exact", "normalised", "numeric", "auto"):
        assert GRADERS[name].compare(one, two).correct == GRADERS[name].compare(two, one).correct


@SAFE
@given(ANYTHING)
def test_answers_that_are_one_vote_are_equal_to_their_grader(text):
    for name in ("exact", "normalised", "auto"):
        grader = GRADERS[name]
        spelled = f" {text.upper()} "
        if grader.vote(spelled) == grader.vote(text):
            assert grader.compare(spelled, text).correct


def test_a_step_of_many_annotations_is_gone_through_once():
    step = "1+2+3+" * 2000 + "= <<1+1=2>>2 " + "1+1 = <<1+1=2>>2 " * 2000
    assert check_written([None], "p", [step], "2").contradicted == []


def test_a_text_of_many_open_boxes_is_gone_through_once():
    assert last_boxed(r"\boxed{" * 100_000 + "5" + "}" * 100_000) == "5"
    assert last_boxed(r"\boxed{" * 100_000) is None


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("piece", ["#### ", "answer is ", "1,000 ", "((((", "9", " ", "\\boxed{", "or ", "½"])
@pytest.mark.timeout(20)
def test_a_very_long_text_is_judged_in_reasonable_time(name, piece):
    text = piece * (200_000 // len(piece))
    assert not GRADERS[name].compare(text, "7").correct
