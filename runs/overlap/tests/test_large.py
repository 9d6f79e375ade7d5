"""The overlap of 500 prompts with 100,000 training traces: memory stays flat, and it takes seconds."""

import time
import tracemalloc

import pytest

from runs.overlap.checking import check
from runs.overlap.tests.support import asked, content, kinds, trace, trained_on

pytestmark = [pytest.mark.django_db, pytest.mark.long]

TRACES, PROMPTS = 100_000, 500
MOST_SECONDS, MOST_BYTES = 60.0, 150 * 2**20


def steps_of(number: int) -> list[str]:
    return [
        f"first we take {number} apples and add {number + step} to get {2 * number + step}"
        for step in range(4)
    ]


def test_a_hundred_thousand_traces_are_looked_through_in_seconds_with_flat_memory():
    data = content(
        "large", *(trace(f"prompt {number} of many", steps_of(number), "0") for number in range(TRACES))
    )
    samples = [
        asked(f"prompt {number} of others", steps_of(200_000 + number)) for number in range(PROMPTS - 3)
    ]
    known = [asked(f"prompt {number} of many", steps_of(number), "0") for number in (5, 50_000, 99_999)]
    found = trained_on(data, samples + known)
    began = time.perf_counter()
    facts = check(found, anew=True)
    seconds = time.perf_counter() - began
    assert (facts["trace"], facts["prompt"], facts["traces_read"]) == (3, 0, TRACES)
    assert kinds(found).count("trace") == 3
    assert seconds < MOST_SECONDS
    tracemalloc.start()
    check(found, anew=True)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < MOST_BYTES
