"""Times of work on a device, by the monotonic clock, each ended by waiting for the result."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax


@dataclass(slots=True)
class StepTimes:
    """Seconds of each update, and what of that the host spent.

    ``total`` runs from the start of an update until its parameters are there; ``dispatch`` until
    the call came back; ``data`` is the making of a batch and its copy to the device, ``logging`` the
    recording of a value: both happen beside the device in a training, and are measured apart here.
    """

    total: list[float] = field(default_factory=list)
    dispatch: list[float] = field(default_factory=list)
    data: list[float] = field(default_factory=list)
    logging: list[float] = field(default_factory=list)


def wait(values: Any) -> None:
    """Wait until all arrays of a tree are there."""
    jax.block_until_ready(values)  # type: ignore[no-untyped-call]  # JAX leaves it untyped


def seconds_of(work: Callable[[], Any]) -> tuple[float, Any]:
    """Do something, wait for what it gives, and return the seconds and that."""
    began = time.perf_counter()
    result = work()
    wait(result)
    return time.perf_counter() - began, result


def repeated(work: Callable[[], Any], times: int) -> Iterator[float]:
    """Do the same work some times and give the seconds of each."""
    for _ in range(times):
        yield seconds_of(work)[0]


def spread(values: Sequence[float]) -> dict[str, float]:
    """Give the median, and the 10th and 90th percentile."""
    if len(values) == 1:
        return {"median": values[0], "p10": values[0], "p90": values[0]}
    tenths = statistics.quantiles(values, n=10, method="inclusive")
    return {"median": statistics.median(values), "p10": tenths[0], "p90": tenths[-1]}
