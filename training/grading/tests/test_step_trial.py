"""The step checks on real traces: none is refused for its form, and a changed number is found."""

import json
import os
import random
import re
from collections import Counter
from pathlib import Path

import pytest

from training.examples import TraceExample
from training.grading.checks import is_well_formed
from training.grading.samples import grade
from training.grading.verdicts import Written
from training.rendering import render

pytestmark = pytest.mark.skipif(
    "TUNIX_TEST_DATA" not in os.environ, reason="TUNIX_TEST_DATA names no folder with gsm8k/train.jsonl"
)
NUMBER = re.compile(r"\d+")


@pytest.fixture(scope="module")
def examples() -> list[TraceExample]:
    lines = (Path(os.environ["TUNIX_TEST_DATA"]) / "gsm8k" / "train.jsonl").read_text().splitlines()
    found = []
    for place, line in enumerate(lines):
        row = json.loads(line)
        *steps, last = row["answer"].split("\n")
        answer = last.removeprefix("#### ")
        found.append(
            TraceExample(
                f"{place:064}", row["question"], tuple(step for step in steps if step.strip()), answer
            )
        )
    return found


def place_of(step: str, start: int) -> str:
    """Say where in a step a number stands."""
    before = step[:start]
    if before.count("<<") > before.count(">>"):
        return "in an annotation"
    if re.search(r">>\W{0,3}$", before):
        return "right after an annotation"
    return "elsewhere"


def changed(example: TraceExample, draw: random.Random) -> tuple[tuple[str, ...], str] | None:
    """Change one number in one step with an annotation, and say where it stood; None where there is none."""
    places = [place for place, step in enumerate(example.steps) if "<<" in step]
    if not places:
        return None
    place = draw.choice(places)
    step = example.steps[place]
    spot = draw.choice(list(NUMBER.finditer(step)))
    other = step[: spot.start()] + str(int(spot[0]) + draw.randrange(1, 10)) + step[spot.end() :]
    return (*example.steps[:place], other, *example.steps[place + 1 :]), place_of(step, spot.start())


def test_every_real_trace_is_in_form(examples):
    assert len(examples) == 7473
    for example in examples:
        assert is_well_formed(Written.read(render(example.steps, example.final_answer)))


EVERY = pytest.mark.parametrize("stride", [10, pytest.param(1, marks=pytest.mark.long)])


@EVERY
def test_nearly_all_real_traces_pass_the_other_checks(examples, stride):
    counts: dict[str, Counter[bool | None]] = {}
    invalid = 0
    for example in examples[::stride]:
        sample = grade(example, render(example.steps, example.final_answer), finished=True, checkers={})
        assert sample.correct
        invalid += sample.first_wrong_step is not None
        for name, passed in sample.checks.items():
            counts.setdefault(name, Counter())[passed] += 1
    total = len(examples[::stride])
    print({name: dict(found) for name, found in counts.items()}, "with a step not valid:", invalid)
    assert counts["format"] == {True: total}
    assert counts["arithmetic"][False] == invalid <= 0.005 * total
    assert counts["carried"][False] < 0.05 * total
    assert counts["last_step"][False] == 0


@EVERY
def test_a_number_that_was_changed_in_one_step_is_found(examples, stride):
    draw = random.Random(9)
    tried: Counter[str] = Counter()
    found: dict[str, Counter[str]] = {}
    for example in examples[::stride]:
        mutated = changed(example, draw)
        if mutated is None:
            continue
        steps, where = mutated
        tried[where] += 1
        sample = grade(example, render(steps, example.final_answer), finished=True, checkers={})
        failed = [name for name, passed in sample.checks.items() if passed is False]
        found.setdefault(where, Counter()).update([*failed, *(["any"] if failed else [])])
    for where, count in tried.items():
        print(where, count, {name: f"{hits / count:.1%}" for name, hits in found[where].items()})
    print("all", f"{sum(one['any'] for one in found.values()) / tried.total():.1%}")
    assert tried.total() * stride > 7000
    assert found["in an annotation"]["any"] > 0.95 * tried["in an annotation"]
    assert found["right after an annotation"]["any"] > 0.95 * tried["right after an annotation"]
