"""Plain equations in the text of steps: what is judged, what is flagged, and what is let be."""

import json
import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets_app.quality.reports import request_report
from datasets_app.quality.steps import check_trace
from datasets_app.tests.support_quality import member, published
from training.grading import equations
from training.grading.equations import equations_of


def judged(text: str) -> list[tuple[str, str]]:
    return [(one.text, one.verdict) for one in equations_of(text)]


@pytest.mark.parametrize(
    "text",
    [
        "12 + 5 = 17",
        "so 3*4=12.",
        "It is 1,200 - 200.50 = 999.50 dollars",
        "She pays $5 * 3 = $15",
        "10% * 50 = 5",
        "12 - 15 = -3",
        "10–3 = 7 and more",
        "2 x 3 × 4 ÷ 6 = 4",
        "2^3 = 8",
        "Total = 12 + 5 = 17",
        "1/4 + 1/4 = 1/2",
        "6 / 12 = 0.5/week",
        "There are 48/2 = <<48/2=24>>24 clips",
        "3 + 4 = 7\nmore",
    ],
)
def test_a_clear_equation_is_found_to_be_right(text):
    assert [verdict for _, verdict in judged(text)] == ["right"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("12 + 5 = 18", "12 + 5 = 18"),
        ("He has 1,000 + 1 = 1,002 left", "1,000 + 1 = 1,002"),
        ("12 + 5 * 2 = 34", "12 + 5 * 2 = 34"),
        ("$4200+$3000 = $8600", "$4200+$3000 = $8600"),
        ("10 / 3 = 3.34", "10 / 3 = 3.34"),
        ("3 - 5 = 2", "3 - 5 = 2"),
    ],
)
def test_a_clear_equation_that_is_wrong_is_flagged(text, found):
    assert judged(text) == [(found, "wrong")]


@pytest.mark.parametrize(
    "text",
    [
        "half of 10 + 3 = 8",  # (10 / 2) + 3
        "twice 4 + 1 = 9",
        "100 - 5 = 95% come",
        "$1 - $0.40 = 60 cents",
        "90 + 30 = 2 hours",
        "45 + 30 = 1 hour 15 minutes",
        "9 + 5 = 2 o'clock",
        "5 * 3 = $15,000",
        "25 / 1/3 = 75",
        "modulo 10: 7 + 5 = 2",
        "in base 2, 1 + 1 = 10",
        "5 * 3 = 15 hundred and 2 * 3 = 6 dozen and 2 * 6 = 1 dozen",
        "it is not 3 + 4 = 8",
    ],
)
def test_where_the_words_around_may_explain_a_difference_nothing_is_said(text):
    assert {verdict for _, verdict in judged(text)} <= {"unknown", "right"}


@pytest.mark.parametrize(
    "text",
    [
        "5 apples + 3 apples = 9 apples",
        "x + 3 + 4 = 8",
        "(2 + 1) * 3 + 4 = 14",
        "2 * (3 + 4) = 15",
        "3 + 4 = 7x",
        "3 + 4 = 2 * 4",
        "3 1/2 + 1 = 5",
        "2 + 2 = 4 1/2",
        "10:30 + 2 = 12:45",
        "1.000,50 + 2 = 1002,51",
        "07 + 5 = 13",
        "f2 + 3 = 6",
        "-3 + 5 = 3",
        "14, 400 / 80 = 181",
        "17 % 5 = 3",
        "a == b, 3 <= 4, 5 = 5",
        "1/0 = 3",
        "no equation at all",
    ],
)
def test_what_is_part_of_something_larger_is_not_an_equation(text):
    assert [pair for pair in judged(text) if pair[1] == "wrong"] == []


def test_a_running_equation_is_read_where_it_ends():
    assert judged("12 + 5 = 17 + 3 = 20") == [("17 + 3 = 20", "right")]


@given(st.text(max_size=60) | st.text(alphabet="0123456789+-*/=^().,% x$", max_size=60))
@settings(max_examples=300, deadline=None)
def test_no_text_breaks_it(text):
    assert {verdict for _, verdict in judged(text)} <= {"right", "rounded", "wrong", "unknown"}


def test_a_long_text_of_operators_is_gone_through_in_reasonable_time():
    assert judged("1+" * 20_000 + "1 = ") == []
    assert judged("1" * 50_000 + " + 1 = 2") == []


def unexplained(prompt: str, *steps: str, family: str = "") -> list[tuple[int, str]]:
    return check_trace(family, prompt, steps, "x").equation_unexplained


def test_numbers_of_equations_come_from_the_prompt_or_what_stands_before():
    prompt = "Ann has 48 clips and gets 25% more, then gives thirteen away."
    assert unexplained(prompt, "48 * 1.25 = 60", "60 - 13 = 47") == []
    assert unexplained(prompt, "She got 9 as well: 48 + 9 = 57. Then 57 - 13 = 44") == []
    assert unexplained(prompt, "48(5/4) = 240/4 = 60") == [], "written on, not taken from anywhere"
    assert unexplained(prompt, "48 - 13 = 35", "35 + 19 = 54") == [
        (1, "35 + 19 = 54 uses 19, from neither prompt nor what stands before")
    ]


def test_annotated_steps_and_doubtful_equations_are_not_asked_for_the_origin_of_numbers():
    assert unexplained("48 clips", "48+19 = <<48+19=67>>67") == []
    assert unexplained("48 clips", "twice 48 + 19 = 115") == []


def test_steps_that_a_family_judges_are_left_to_it(monkeypatch):
    monkeypatch.setattr("datasets_app.quality.steps.check_steps", lambda *_: [True, None])
    found = check_trace("digits", "7+3", ["7+3=0", "7+3=1"], "0")
    assert [(one.step, one.verdict) for one in found.equations] == [(1, "wrong")]


@pytest.mark.django_db
def test_the_report_names_the_traces_apart():
    rows = [
        member("What is 12 + 5?", ["12 + 5 = 18"], "18"),
        member("What is 2 + 2?", ["2 + 2 = 4", "4 + 19 = 23"], "23"),
        member("Half of 10 and 3?", ["half of 10 + 3 = 8"], "8"),
    ]
    content = request_report(dataset=published("plain-v1", rows)).content
    kinds = {one["code"]: one["items"] for one in content["findings"]}
    (wrong,) = kinds["equation_wrong"]
    assert wrong == {"positions": [0], "note": "step 1: 12 + 5 = 18: 12 + 5 is 17"}
    (strange,) = kinds["equation_unexplained"]
    assert strange["positions"] == [1]
    assert content["steps"]["equations"] == {
        "found": 4,
        "traces": 3,
        "right": 2,
        "rounded": 0,
        "wrong": 1,
        "unknown": 1,
        "values_used": 6,
        "with_unexplained_values": 1,
    }


@pytest.mark.skipif(
    "TUNIX_TEST_DATA" not in os.environ, reason="TUNIX_TEST_DATA names no folder with gsm8k/train.jsonl"
)
def test_of_the_equations_of_gsm8k_few_are_wrong_and_each_of_these_was_looked_at():
    counts: Counter[str] = Counter()
    wrong = set()
    lines = (Path(os.environ["TUNIX_TEST_DATA"]) / "gsm8k" / "train.jsonl").read_text().splitlines()
    for place, line in enumerate(lines):
        for step in json.loads(line)["answer"].split("\n")[:-1]:
            for one in equations_of(step):
                counts[one.verdict] += 1
                if one.verdict == "wrong":
                    wrong.add(place)
    assert sum(counts.values()) > 19_000
    assert len(wrong) == 16


class _Watched(str):
    """A text that notes how long its slices are."""

    slices: list[int]

    def __getitem__(self, key: object) -> str:
        part = super().__getitem__(key)  # type: ignore[index]
        self.slices.append(len(part))
        return part


def test_a_long_step_is_judged_without_copying_its_rest_for_every_equation(monkeypatch):
    text = _Watched("12 + 5 = 17. " * 2000)
    text.slices = []
    monkeypatch.setattr(equations, "without_annotations", lambda given: given)
    assert Counter(one.verdict for one in equations_of(text)) == {"right": 2000}
    assert len(text.slices) >= 2000
    assert max(text.slices) <= equations.CONTEXT
