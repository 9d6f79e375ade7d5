"""The longest operations of a profile, read from the trace that `jax.profiler` wrote. Imports no JAX.

The trace is in Chrome's format: complete events ("X") with a start and a duration in microseconds, by
process and thread, and metadata ("M") that name these.
"""

import gzip
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from training.errors import TrainingError
from training.trace_places import OTHER, Place, by_place

OPERATIONS_NAME: Final = "operations.json"
PLACES_NAME: Final = "places.json"
OPERATIONS_KEPT: Final = 50
# A trace of a few updates has some megabytes; what is larger holds too many updates to be read.
MAX_TRACE_BYTES: Final = 1 << 30
# Threads that carry out operations: XLA's own on a CPU, the streams of a card.
_CPU_THREADS: Final = ("tf_XLA",)
_GPU_THREADS: Final = ("Stream", "XLA Ops")
# What is no work but waiting, or the end of what was counted already.
_NO_WORK: Final = ("end: ", "ThreadpoolListener", "SlinkyThreadPool::Await", "ThunkExecutor::")

type Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation of the profiled updates: how often, its own time (s) without what it calls, and share.

    ``place`` is the part of the update that it serves.
    """

    name: str
    count: int
    seconds: float
    share: float
    place: str = OTHER


@dataclass(frozen=True, slots=True)
class Summary:
    """What a trace comes to: its longest operations, and the time of each part of the update."""

    operations: list[Operation]
    places: list[Place]

    def facts(self) -> dict[str, Any]:
        """Give it as plain data."""
        return asdict(self)


def write_summary(folder: Path, places: Mapping[str, str]) -> Summary:
    """Read the newest trace below a folder and write what it comes to beside it.

    ``places`` maps operations to the parts that they serve (`training.trace_places.places_in`).

    Raises:
        TrainingError: when there is no trace, or none that can be read.
    """
    summary = summarise(newest_trace(folder), places)
    for name, rows in ((OPERATIONS_NAME, summary.operations), (PLACES_NAME, summary.places)):
        text = json.dumps([asdict(one) for one in rows], indent=1, ensure_ascii=False)
        (folder / name).write_text(text + "\n", "utf-8")
    return summary


def newest_trace(folder: Path) -> Path:
    """Find the newest trace below a folder.

    Raises:
        TrainingError: when there is none.
    """
    traces = sorted(folder.rglob("*.trace.json.gz"), key=lambda path: path.stat().st_mtime)
    if not traces:
        raise TrainingError(f"There is no trace below {folder}.")
    return traces[-1]


def summarise(trace: Path, places: Mapping[str, str]) -> Summary:
    """Sum the operations' own times over all threads that carry them out, the longest first.

    Raises:
        TrainingError: when the file is no trace, or too large.
    """
    try:
        with gzip.open(trace) as file:
            text = file.read(MAX_TRACE_BYTES + 1)
        if len(text) > MAX_TRACE_BYTES:
            raise TrainingError(f"{trace} is too large to be read; profile fewer steps.")
        events = json.loads(text)["traceEvents"]
        workers = _workers(events)
        by_thread: dict[tuple[Any, Any], list[Event]] = defaultdict(list)
        for event in events:
            place = (event.get("pid"), event.get("tid"))
            if event.get("ph") == "X" and place in workers and not event["name"].startswith(_NO_WORK):
                by_thread[place].append(event)
        own: dict[str, list[float]] = defaultdict(list)
        for found in by_thread.values():
            for name, microseconds in _own_times(found):
                own[name].append(microseconds / 1e6)
    except (OSError, EOFError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise TrainingError(f"{trace} is no trace that can be read: {error!r}.") from error
    sums = {name: sum(times) for name, times in own.items()}
    total = sum(sums.values()) or 1.0
    rows = [
        Operation(name, len(own[name]), seconds, seconds / total, places.get(name, OTHER))
        for name, seconds in sums.items()
    ]
    rows.sort(key=lambda one: -one.seconds)
    return Summary(rows[:OPERATIONS_KEPT], by_place(sums.items(), places))


def _workers(events: Iterable[Event]) -> set[tuple[Any, Any]]:
    """Find the threads that carry out operations: of cards where there are any, else of the host."""
    processes: dict[Any, str] = {}
    threads: dict[tuple[Any, Any], str] = {}
    for event in events:
        if event.get("ph") == "M" and event.get("name") == "process_name":
            processes[event["pid"]] = event["args"]["name"]
        if event.get("ph") == "M" and event.get("name") == "thread_name":
            threads[event["pid"], event["tid"]] = event["args"]["name"]
    cards = {
        place
        for place, name in threads.items()
        if processes.get(place[0], "").startswith("/device:GPU") and name.startswith(_GPU_THREADS)
    }
    return cards or {place for place, name in threads.items() if name.startswith(_CPU_THREADS)}


def _own_times(events: list[Event]) -> Iterable[tuple[str, float]]:
    """Take from each event's duration what the events within it take."""
    stack: list[list[Any]] = []  # name, end, own time
    for event in sorted(events, key=lambda event: (event["ts"], -event["dur"])):
        start, duration = event["ts"], event["dur"]
        while stack and stack[-1][1] <= start:
            name, _, own = stack.pop()
            yield name, max(0.0, own)
        if stack:
            stack[-1][2] -= duration
        stack.append([event["name"], start + duration, duration])
    for name, _, own in stack:
        yield name, max(0.0, own)
