"""What the parts of a quality report find, without a database."""

import json
import os
import random
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets_app.quality.answers import answer_type, other_characters
from datasets_app.quality.duplicates import DuplicateFinder, NearPair, clusters
from datasets_app.quality.lengths import LengthCounter, histogram, lengths_of, percentile
from datasets_app.quality.steps import check_trace
from datasets_app.quality.text import jaccard, runs_of, words_of
from training.examples import TraceExample
from training.grading.annotations import annotations_of, judge
from training.grading.arithmetic import ArithmeticTextError, evaluate
from training.rendering import completion_text, prompt_text
from training.tokenizer import TOKENIZER


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("48/2", 24),
        ("1 + 2 * 3", 7),
        ("(1+2)*3", 9),
        ("10/4", Fraction(5, 2)),
        ("0.1+0.2", Fraction(3, 10)),
        ("5%*20", 1),
        ("$1,200.50 - $.50", 1200),
        ("2(3+4)", 14),
        ("2×3÷4", Fraction(3, 2)),
        ("-3--5", 2),
        ("2^10", 1024),
        ("-2^2", -4),
        ("7//2", 3),
        ("3 x 4", 12),
    ],
)
def test_written_arithmetic_is_worked_out_exactly(text, value):
    assert evaluate(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "1+",
        "(1",
        "1)",
        "1 2",
        "1/0",
        "1//0",
        "__import__('os')",
        "2^65",
        "2^0.5",
        "9" * 41,
        "1+" * 200 + "1",
        "(" * 40 + "1" + ")" * 40,
        "-" * 60 + "1",
        "((2^64)^64)^64",
    ],
)
def test_anything_else_is_refused_with_a_reason(text):
    with pytest.raises(ArithmeticTextError, match=r"\w"):
        evaluate(text)


@given(st.text(max_size=40) | st.text(alphabet="0123456789+-*/^().,% x", max_size=40))
@settings(max_examples=300, deadline=None)
def test_no_text_breaks_the_evaluator(text):
    annotation = judge(text)
    assert annotation.verdict in {"right", "rounded", "wrong", "unreadable"}


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("48/2=24", "right"),
        ("0.1+0.2=0.3", "right"),
        ("10/3=3.33", "rounded"),
        ("2/3=.67", "rounded"),
        ("2/3=.66", "rounded"),
        ("10/3=3.34", "wrong"),
        ("2/3=1", "wrong"),
        ("2+2=5", "wrong"),
        ("2+2=4=4", "right"),
        ("2+2=4=5", "wrong"),
        ("1/8=12.5%", "right"),
        ("six=6", "unreadable"),
        ("6", "unreadable"),
    ],
)
def test_an_annotation_is_judged(text, verdict):
    assert judge(text).verdict == verdict


def test_an_annotation_full_of_white_space_is_judged_like_any_other():
    assert judge(f"1={' ' * 185}1{' ' * 95}+1").verdict == "wrong"


def test_the_problem_of_a_wrong_annotation_says_what_is_right():
    (found,) = annotations_of(["we get <<10/3=4>>4"])
    assert (found.step, found.problem) == (0, "10/3 is 3.33333333…")


def check(prompt, steps, answer, family=""):
    return check_trace(family, prompt, steps, answer)


def test_values_are_carried_over_from_prompt_and_earlier_steps():
    steps = ["48/2 = <<48/2=24>>24 clips", "48+24 = <<48+24=72>>72"]
    found = check("She sold 48 clips, then half as many.", steps, "72")
    assert (found.values, found.unexplained, found.shown_otherwise, found.last_agrees) == (4, [], [], True)


def test_a_number_from_nowhere_and_a_result_written_otherwise_are_noted():
    found = check("She sold 48 clips.", ["<<48+19=67>>68"], "67")
    assert found.unexplained == [(0, "<<48+19=67>> uses 19, from neither prompt nor earlier step")]
    assert found.shown_otherwise == [(0, "<<48+19=67>> is followed by 68")]


@pytest.mark.parametrize(
    "step", ["<<1500*2=3000>>3,000 words", "<<5/10=0.5>>0.5/week", "<<5/10=.5>>50%", "<<2*3=6>>$6"]
)
def test_a_result_may_be_written_in_another_form(step):
    assert check("1500 words, 5 of 10, 3", [step], "x").shown_otherwise == []


@pytest.mark.parametrize(
    ("steps", "answer", "agrees"),
    [
        (["so 1,200 in all"], "1200", True),
        (["so it is $5.50"], "5.5", True),
        (["<<2+2=4>>"], "4", True),
        (["so 12"], "1", False),
        (["8 17 42 | "], "8 17 42", True),
        (["the ball is under B"], "b", True),
        ([], "4", None),
    ],
)
def test_the_last_step_is_held_against_the_answer(steps, answer, agrees):
    assert check("p", steps, answer).last_agrees is agrees


@pytest.mark.skipif(
    "TUNIX_TEST_DATA" not in os.environ, reason="TUNIX_TEST_DATA names no folder with gsm8k/train.jsonl"
)
def test_every_annotation_of_gsm8k_is_worked_out_and_none_is_wrong():
    counts: Counter[str] = Counter()
    lines = (Path(os.environ["TUNIX_TEST_DATA"]) / "gsm8k" / "train.jsonl").read_text().splitlines()
    for line in lines:
        steps = json.loads(line)["answer"].split("\n")[:-1]
        counts.update(annotation.verdict for annotation in annotations_of(steps))
    assert (len(lines), counts) == (7473, {"right": 23_716})


@given(prompt=st.text(min_size=1), steps=st.lists(st.text(), max_size=4), answer=st.text(min_size=1))
@settings(max_examples=100, deadline=None)
def test_lengths_are_those_of_the_rows_that_training_makes(prompt, steps, answer):
    found = lengths_of(prompt, steps, answer)
    example = TraceExample("", prompt, tuple(steps), answer)
    before = TOKENIZER.encode(prompt_text(prompt))
    row = [*before, *TOKENIZER.encode(completion_text(example, "trace")), TOKENIZER.eos]
    assert (found.prompt, found.total) == (len(before), len(row))
    assert found.has_no_target(len(before))
    assert not found.has_no_target(len(before) + 1)
    assert not found.cuts_answer(len(row))
    assert found.cuts_answer(len(row) - 1)


def test_percentiles_go_by_nearest_rank():
    counts = dict.fromkeys(range(1, 101), 1)
    assert [percentile(counts, share) for share in (0.5, 0.95, 0.99, 1)] == [50, 95, 99, 100]
    assert percentile({7: 1}, 0.5) == 7


@given(st.dictionaries(st.integers(1, 10**6), st.integers(1, 50), min_size=1, max_size=60))
@settings(max_examples=200, deadline=None)
def test_a_histogram_keeps_every_trace_in_at_most_some_thirty_bars(counts):
    found = histogram(counts)
    assert sum(found["counts"]) == sum(counts.values())
    assert len(found["counts"]) <= 32
    for index, bar in enumerate(found["counts"]):
        low = found["start"] + index * found["width"]
        assert bar == sum(rows for length, rows in counts.items() if low <= length < low + found["width"])


def test_losses_count_rows_and_tokens_beyond_the_sequence():
    counter = LengthCounter()
    for size in (10, 20, 30):
        counter.add(lengths_of("p" * size, [], "a"))
    assert counter.losses(24) == {"rows_too_long": 1, "tokens_lost": 10, "rows_without_target": 1}


def sentence(draw: random.Random, size: int) -> list[str]:
    return [f"w{draw.randrange(5000)}" for _ in range(size)]


def found_in(texts: list[list[str]]):
    finder = DuplicateFinder()
    for position, words in enumerate(texts):
        finder.add(position, words)
    return finder.find(lambda positions: {at: " ".join(texts[at]) for at in positions})


def test_near_duplicates_are_those_that_comparing_all_with_all_finds():
    draw = random.Random(7)
    texts = [sentence(draw, draw.randrange(20, 120)) for _ in range(60)]
    for source in range(60):
        copy = list(texts[source])
        for _ in range(source % 6 + 1):
            copy[draw.randrange(len(copy))] = "other"
        texts.append(copy)
    runs = [runs_of(words, 5) for words in texts]
    expected = {
        (one, other)
        for one in range(120)
        for other in range(one + 1, 120)
        if jaccard(runs[one], runs[other]) >= 0.7
    }
    found = found_in(texts)
    pairs = {(pair.first, pair.second) for pair in found.near}
    assert found.complete
    assert pairs <= expected
    assert len(expected) > 20
    assert len(expected - pairs) <= 1


def test_exact_duplicates_are_grouped_and_not_named_again_as_near_ones():
    text = words_of("One two three four five six seven")
    same = words_of("one  TWO three four five six seven")
    found = found_in([text, words_of("something else"), same, text])
    assert found.exact == [[0, 2, 3]]
    assert found.near == []


def test_short_texts_are_compared_too():
    assert found_in([["7+3"], ["7+4"], ["7+3", "x"]]).near == []


def test_pairs_are_joined_to_groups():
    pairs = [NearPair(1, 2, 0.8), NearPair(5, 6, 0.9), NearPair(2, 3, 0.7)]
    assert clusters(pairs) == [[1, 2, 3], [5, 6]]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("72", "integer"),
        ("-1,200", "integer"),
        ("0.5", "decimal"),
        (".5", "decimal"),
        ("3/4", "fraction"),
        ("12%", "percentage"),
        ("$4.50", "money"),
        ("Yes", "yes or no"),
        ("(B)", "choice"),
        ("3250 g", "number with a unit"),
        ("8 17 42", "list of numbers"),
        ("Paris", "one word"),
        ("x + 1", "text"),
        ("x" * 300, "long text"),
    ],
)
def test_answers_are_sorted_by_kind(answer, kind):
    assert answer_type(answer) == kind


def test_characters_beyond_ascii_are_counted():
    assert other_characters("a–b – ½") == {"–": 2, "½": 1}
    assert other_characters("plain") == {}
