"""The step checks on real traces: none is refused for its form, and a changed number is found."""

import json
import os
import random
import re
from collections import Counter
from pathlib import Path

import pytest

from training.examples import TraceExample
from training.grading.samples import grade
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
            TraceExample(f"{place:064}", row["question"], tuple(step for step in steps if step.strip()), answer)
        )
    return found


def changed(example: TraceExample, draw: random.Random) -> tuple[str, ...] | None:
    """Change one number in one step with an annotation; None where there is none."""
    places = [place for place, step in enumerate(example.steps) if "<<" in step]
    if not places:
        return None
    place = draw.choice(places)
    step = example.steps[place]
    spot = draw.choice(list(NUMBER.finditer(step)))
    number = str(int(spot[0]) + draw.randrange(1, 10))
    return (*example.steps[:place], step[: spot.start()] + number + step[spot.end() :], *example.steps[place + 1 :])


def test_real_traces_are_in_form_and_nearly_all_of_them_pass_the_other_checks(examples):
    counts: dict[str, Counter[bool | None]] = {}
    invalid = 0
    for example in examples:
        sample = grade(example, render(example.steps, example.final_answer), finished=True, checkers={})
        assert sample.correct
        invalid += sample.first_wrong_step is not None
        for name, passed in sample.checks.items():
            counts.setdefault(name, Counter())[passed] += 1
    print({name: dict(found) for name, found in counts.items()}, "with a step not valid:", invalid)
    assert counts["format"] == {True: 7473}
    assert counts["arithmetic"][False] < 0.02 * len(examples)
    assert counts["last_step"][False] < 0.05 * len(examples)


def test_a_number_that_was_changed_in_one_step_is_found(examples):
    draw = random.Random(9)
    found: Counter[str] = Counter()
    tried = 0
    for example in examples:
        steps = changed(example, draw)
        if steps is None:
            continue
        tried += 1
        sample = grade(example, render(steps, example.final_answer), finished=True, checkers={})
        failed = [name for name, passed in sample.checks.items() if passed is False]
        found.update(failed)
        found["by any check"] += bool(failed)
    print(tried, {name: f"{count / tried:.1%}" for name, count in found.items()})
    assert tried > 7000
    assert found["arithmetic"] > 0.8 * tried
    assert found["by any check"] > 0.85 * tried
