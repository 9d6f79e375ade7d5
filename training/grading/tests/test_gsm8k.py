"""The graders of GSM8K, held against the definition of lm-evaluation-harness and against GSM8K itself."""

import json
import os
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.examples import TraceExample
from training.grading import gsm8k
from training.grading.graders import GRADERS
from training.grading.samples import grade
from training.grading.verdicts import Written
from training.rendering import render

STRICT, FLEXIBLE = GRADERS["gsm8k_strict"], GRADERS["gsm8k_flexible"]


def harness(pattern: str, select: int, response: str, target: str) -> bool:
    """The definition, step by step: regex filter, take the first, exact match with its ignored patterns."""
    found = re.findall(pattern, response)
    taken = "[invalid]"
    if found:
        match = found[select]
        if isinstance(match, tuple):
            match = next(group for group in match if group)
        taken = match.strip()
    for ignored in (",", r"\$", r"(?s).*#### ", r"\.$"):
        taken, target = re.sub(ignored, "", taken), re.sub(ignored, "", target)
    return taken.lower() == target.lower()


def strict_by_the_harness(response: str, target: str) -> bool:
    return harness(r"#### (\-?[0-9\.\,]+)", 0, response, target)


def flexible_by_the_harness(response: str, target: str) -> bool:
    return harness(r"(-?[$0-9.,]{2,})|(-?[0-9]+)", -1, response, target)


# What a model wrote, the reference, strict, flexible: as the harness' own definition gives them.
PARITY = [
    ("He has 3+4=7 apples.\n#### 7", "#### 7", True, True),
    ("He has 7.\n#### 7\n\n", "x\n#### 7", True, True),
    ("#### 7 apples, of 9", "7", True, False),
    ("#### 7\n#### 8", "7", True, False),
    ("#### 7\n#### 8", "8", False, True),
    ("#### 1,234", "1234", True, True),
    ("#### 1234", "1,234", True, True),
    ("#### $18", "18", False, True),
    ("#### 18.", "18", True, True),
    ("#### 18.00", "18", False, False),
    ("#### -5", "-5", True, True),
    ("#### - 5", "-5", False, False),
    ("#### -$5", "-5", False, True),
    ("####18", "18", False, True),
    ("The answer is 18.", "18", False, True),
    ("The answer is 18 dollars and 5 cents", "18", False, False),
    ("It costs $18.", "18", False, True),
    ("no number", "18", False, False),
    ("", "18", False, False),
    ("#### ", "18", False, False),
    ("#### .", "18", False, False),
    ("18...", "18", False, False),
    ("#### 1.5", "1.5", True, True),
    ("#### 3/4", "0.75", False, False),
    ("#### 50%", "50", True, True),
    ("#### 018", "18", False, False),
    ("#### 1e3", "1000", False, False),
    ("#### 17 or 18", "18", False, True),
    ("so 2 - 5", "-5", False, False),
    ("so 2 -5", "-5", False, True),
    ("#### ١٨", "18", False, False),
    ("#### 7\nQuestion: 9?", "7", True, False),
]  # fmt: skip


@pytest.mark.parametrize(("response", "target", "strict", "flexible"), PARITY)
def test_verdicts_are_those_of_the_harness(response, target, strict, flexible):
    assert strict_by_the_harness(response, target) is strict
    assert flexible_by_the_harness(response, target) is flexible
    written = Written(response, (), None, "no answer")
    assert STRICT.judge(written, target).correct is strict
    assert FLEXIBLE.judge(written, target).correct is flexible


TEXTS = st.lists(
    st.sampled_from([*"0123456789", *"$.,-# \n%", "#### ", "####", "so ", "18"]), max_size=20
).map("".join) | st.text(max_size=40)


@settings(max_examples=1000, deadline=None)
@given(response=TEXTS, target=TEXTS)
def test_they_are_those_of_the_harness_on_any_text(response, target):
    written = Written(response, (), None, "no answer")
    assert STRICT.judge(written, target).correct is strict_by_the_harness(response, target)
    assert FLEXIBLE.judge(written, target).correct is flexible_by_the_harness(response, target)


def test_a_text_of_this_project_is_judged_as_if_its_answer_stood_behind_the_mark():
    text = render(["48/2 = <<48/2=24>>24", "48+24 = 72"], "72")
    assert text.endswith("\n#72")
    written = Written.read(text)
    assert gsm8k.as_the_harness_sees(written) == "48/2 = <<48/2=24>>24\n48+24 = 72\n#### 72"
    for grader in (STRICT, FLEXIBLE):
        verdict = grader.judge(written, "72")
        assert (verdict.correct, verdict.answer) == (True, "72")


def test_a_text_with_the_mark_is_judged_as_it_stands():
    written = Written.read("so 72\n#### 72")
    assert written.answer == "### 72"
    assert gsm8k.as_the_harness_sees(written) == "so 72\n#### 72"
    assert STRICT.judge(written, "72").correct


def test_a_text_without_an_answer_is_judged_by_its_last_number_by_the_flexible_one_alone():
    example = TraceExample("0" * 64, "p", ("so 72",), "72")
    flexible = grade(example, "48 and 24\nso 72", finished=True, checkers={}, grader=FLEXIBLE)
    assert (flexible.correct, flexible.rule, flexible.answer) == (True, "gsm8k flexible", "72")
    strict = grade(example, "48 and 24\nso 72", finished=True, checkers={}, grader=STRICT)
    assert (strict.correct, strict.rule, strict.answer) == (False, "nothing extracted", None)


def test_like_the_harness_they_judge_a_text_that_was_cut_off():
    example = TraceExample("0" * 64, "p", (), "72")
    assert grade(example, "#72", finished=False, checkers={}, grader=STRICT).correct
    assert not grade(example, "#72", finished=False, checkers={}).correct


def gsm8k_rows(split: str) -> list[dict[str, str]]:
    path = Path(os.environ["TUNIX_TEST_DATA"]) / "gsm8k" / f"{split}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.skipif(
    "TUNIX_TEST_DATA" not in os.environ, reason="TUNIX_TEST_DATA names no folder with gsm8k/train.jsonl"
)
@pytest.mark.parametrize(("split", "rows"), [("train", 7473), ("test", 1319)])
def test_every_answer_of_gsm8k_is_right_against_itself(split, rows):
    found = gsm8k_rows(split)
    assert len(found) == rows
    for row in found:
        *lines, last = row["answer"].split("\n")
        answer = last.removeprefix("#### ")
        raw, ours = (
            Written.read(row["answer"]),
            Written.read(render([line for line in lines if line], answer)),
        )
        for name in ("gsm8k_strict", "gsm8k_flexible"):
            for expected in (answer, row["answer"]):
                assert GRADERS[name].judge(raw, expected).correct, row["answer"]
                assert GRADERS[name].judge(ours, expected).correct, row["answer"]
        for name in ("auto", "exact", "normalised", "numeric"):
            assert GRADERS[name].judge(ours, answer).correct
