"""Traces fresh from their generators, for the tests of generators."""

from datasets_app.generators import GENERATORS


def made(key: str, count: int, seed: int = 0):
    return list(GENERATORS[key].generate(count=count, seed=seed))


def contents(trace) -> list[str]:
    return [step.content for step in trace.record.steps]
