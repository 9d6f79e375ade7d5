"""The large dataset that pages_bench.py asks for: a mixture of families, sources, sides and words."""

from collections.abc import Iterator

from datasets_app.generators import GENERATORS
from datasets_app.models import Dataset
from datasets_app.publishing import Draft, Member, Unpublished, member_of
from datasets_app.traces import make_trace

KEY = "large-v1"
BATCH = 5000
RARE_EVERY = 50_000
ADDED = 5


def members(count: int) -> Iterator[Member]:
    """Give two generated traces, then three sums without a family, and so on.

    ``what`` is in every sum; ``alpha`` and ``beta`` never in the same; ``walrus`` in one trace
    in 50,000, and these alone are of the family ``rare``.
    """
    spec = GENERATORS["golden-v2"]
    generated = spec.generate(count=max(1, count), seed=0)
    for number in range(count):
        if number % RARE_EVERY == RARE_EVERY - 1:
            yield _sum(number, "walrus", "rare")
        elif number % 5 < 2:
            made = next(generated)
            yield member_of(
                made.record, family=made.family, source=spec.source, licence=spec.licence, meta={}
            )
        else:
            yield _sum(number, "beta" if number % 2 else "alpha", "")


def _sum(number: int, word: str, family: str) -> Member:
    a, b, c = number % 1000, number // 1000 % 1000, number // 1_000_000 + number % 7
    steps = [f"{a} + {b} = {a + b}", f"{a + b} * {c} = {(a + b) * c}", f"so it is {(a + b) * c}"]
    record = make_trace(
        prompt=f"Trace {number} {word}: what is ({a} + {b}) * {c}?",
        steps=steps,
        final_answer=str((a + b) * c),
    )
    meta = {"number": number}
    return member_of(record, family=family, source=f"sums {number % 3}", licence="CC0-1.0", meta=meta)


def publish_two(count: int) -> tuple[Dataset, Dataset]:
    """Publish ``count`` traces, then the same with a few more as the next content of the key."""
    unpublished = Unpublished.begin(Draft(key=KEY, recipe={"kind": "bench"}))
    batch: list[Member] = []
    for member in members(count):
        batch.append(member)
        if len(batch) == BATCH:
            unpublished.add(batch)
            batch = []
    if batch:
        unpublished.add(batch)
    first = unpublished.publish(parent=None).dataset
    following = Unpublished.begin(Draft(key=KEY, recipe={"kind": "bench"}))
    for _written in following.add_all_of(first):
        pass
    following.add([_sum(number, "gamma", "") for number in range(count, count + ADDED)])
    return first, following.publish(parent=first).dataset
