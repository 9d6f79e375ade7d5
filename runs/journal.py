"""The journal of an attempt: an append-only file of JSON lines that the child writes.

Training never waits for the database: the child only appends here, and the supervisor
feeds the database from it (`runs.ingest`). A line is one event with its time ``t``
(seconds since the epoch) and its kind ``k``. A half-written last line, as a killed
process leaves it, is not yet an event.
"""

import json
import math
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from training.recorder import CheckpointInfo, EvaluationReport, Phase

JOURNAL_NAME = "metrics.jsonl"
LOG_NAME = "log.txt"


def encode_number(value: float) -> float | str:
    """Give a number as JSON can carry it: NaN and the infinities become text."""
    return value if math.isfinite(value) else str(float(value))


class JournalRecorder:
    """A `training.recorder.Recorder` that appends to the attempt's journal.

    Every method may be called from any thread. ``stop_asked`` is what `should_stop` answers
    with; ``say`` receives log lines for people.
    """

    def __init__(
        self, path: Path, *, stop_asked: Callable[[], bool], say: Callable[[str], None] = lambda _: None
    ) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)
        self._lock = threading.Lock()
        self._stop_asked = stop_asked
        self._say = say
        self.current_phase: Phase = "starting"
        self.current_step = 0

    def phase(self, name: Phase, step: int) -> None:
        """Record what the process does now."""
        self.current_phase, self.current_step = name, step
        self._write("phase", {"s": step, "name": name})

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Record the values of one step; values that are not finite are kept as such."""
        self.current_step = step
        self._write(
            "metrics", {"s": step, "v": {name: encode_number(value) for name, value in values.items()}}
        )

    def checkpoint(self, info: CheckpointInfo) -> None:
        """Record a complete checkpoint, durably."""
        self._write("checkpoint", {"s": info.step, **_json_safe(asdict(info))}, durable=True)

    def checkpoint_gone(self, step: int, path: str, why: str, freed_bytes: int = 0) -> None:
        """Record that a checkpoint was deleted or set aside."""
        self._write("gone", {"s": step, "path": path, "why": storable(why), "freed": freed_bytes})

    def evaluation(self, report: EvaluationReport) -> None:
        """Record an evaluation with its samples."""
        self._write("evaluation", {"s": report.step, **_json_safe(asdict(report))})

    def resumed(self, step: int, inexact: str = "") -> None:
        """Record that this attempt goes on after ``step``, and what makes that not exact."""
        self.current_step = step
        self._write("resumed", {"s": step, "inexact": storable(inexact)})

    def provenance(self, facts: Mapping[str, Any]) -> None:
        """Record where and with what the process runs."""
        self._write("provenance", {"facts": _json_safe(dict(facts))})

    def log(self, message: str) -> None:
        """Pass a line on to the attempt's log."""
        self._say(message)

    def should_stop(self) -> bool:
        """Tell whether somebody asked for a stop."""
        return self._stop_asked()

    def end(self, status: str, **facts: Any) -> None:
        """Record the end of the attempt, durably; nothing is written after it."""
        self._write("end", {"status": status, **_json_safe(facts)}, durable=True)

    def _write(self, kind: str, event: dict[str, Any], *, durable: bool = False) -> None:
        line = json.dumps({"k": kind, "t": time.time(), **event}, ensure_ascii=False, allow_nan=False)
        with self._lock:
            # One write call a line, so that a reader sees whole lines or a torn last one.
            self._file.write(line.encode() + b"\n")
            if durable:
                os.fsync(self._file.fileno())


def _json_safe(value: Any) -> Any:
    """Copy nested plain data with non-finite numbers as text and other objects as text."""
    if isinstance(value, Mapping):
        return {storable(str(key)): _json_safe(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json_safe(item) for item in value]
    if isinstance(value, bool) or value is None or isinstance(value, int):
        return value
    if isinstance(value, float):
        return encode_number(value)
    return storable(str(value))


def storable(text: str) -> str:
    """Give a text as every database can store it: without NUL and lone surrogates.

    A byte-level model may write anything, and so may a command line hold anything.
    """
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


def read_events(
    path: Path, offset: int, *, limit_bytes: int = 8 << 20
) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield the complete events behind ``offset`` with the offset after each.

    Reads at most about ``limit_bytes``; a missing file has no events. A line that is no
    JSON object (a torn write in the middle, a damaged disk) is given as a ``damaged`` event,
    so that it can be reported instead of stopping everything behind it.
    """
    try:
        file = path.open("rb")
    except (FileNotFoundError, NotADirectoryError):
        return
    with file:
        file.seek(offset)
        end = offset + limit_bytes
        for line in file:
            if not line.endswith(b"\n"):
                return
            offset += len(line)
            yield _parse(line, offset), offset
            if offset >= end:
                return


def _parse(line: bytes, offset: int) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except ValueError:
        event = None
    if isinstance(event, dict) and "k" in event and "t" in event:
        return event
    return {"k": "damaged", "t": time.time(), "end": offset, "bytes": len(line)}
