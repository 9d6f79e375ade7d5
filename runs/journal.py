"""The journal of an attempt: an append-only file of JSON lines that the child writes.

Training never waits for the database: the child only appends here, and the supervisor
feeds the database from it (`runs.ingest`). A line is one event with its time ``t``
(seconds since the epoch) and its kind ``k``; `runs.journal_lines` says how it is sealed and
read, `runs.journal_writer` what happens on a full disk. A half-written last line, as a killed
process leaves it, is not yet an event.
"""

import contextlib
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from runs.journal_lines import FORMAT_VERSION, read_events, torn_tail
from runs.journal_writer import JournalWriter
from training.recorder import CheckpointInfo, EvaluationReport, Phase

__all__ = [
    "JOURNAL_NAME",
    "LOG_NAME",
    "JournalRecorder",
    "encode_number",
    "read_events",
    "storable",
    "torn_tail",
]

JOURNAL_NAME = "metrics.jsonl"
LOG_NAME = "log.txt"
# How long the last word waits for room on the disk.
END_WAIT_S = 10.0


def encode_number(value: float) -> float | str:
    """Give a number as JSON can carry it: NaN and the infinities become text."""
    return value if math.isfinite(value) else str(float(value))


class JournalRecorder:
    """A `training.recorder.Recorder` that appends to the attempt's journal.

    Every method may be called from any thread, and none raises for what the disk does. ``stop_asked`` is
    what `should_stop` answers with; ``say`` receives log lines for people; ``header`` (see
    `runs.journal_import.journal_header`) describes the run in the first line of a new file.
    """

    def __init__(
        self,
        path: Path,
        *,
        stop_asked: Callable[[], bool],
        say: Callable[[str], None] = lambda _: None,
        header: Mapping[str, Any] | None = None,
        end_wait_s: float = END_WAIT_S,
    ) -> None:
        self._say = say
        self._stop_asked = stop_asked
        self._end_wait_s = end_wait_s
        self.current_phase: Phase = "starting"
        self.current_step = 0
        self._writer = JournalWriter(path, told=self.log)
        if header is not None and self._writer.is_new:
            self._write("run", {**_json_safe(dict(header)), "format": FORMAT_VERSION})

    @property
    def unwritten(self) -> int:
        """How many lines did not reach the file (yet)."""
        return self._writer.unwritten

    def flush(self, timeout: float = 0.0) -> bool:
        """Try for up to ``timeout`` seconds to write all that waits. Returns whether nothing waits."""
        return self._writer.flush(timeout)

    def phase(self, name: Phase, step: int) -> None:
        """Record what the process does now."""
        self.current_phase, self.current_step = name, step
        self._write("phase", {"s": step, "name": name})

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Record the values of one step; values that are not finite are kept as such."""
        self.current_step = step
        encoded = {name: encode_number(value) for name, value in values.items()}
        self._write("metrics", {"s": step, "v": encoded}, may_go=True)

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
        """Pass a line on to the attempt's log; a full disk costs that line and nothing else."""
        with contextlib.suppress(OSError):
            self._say(message)

    def should_stop(self) -> bool:
        """Tell whether somebody asked for a stop."""
        return self._stop_asked()

    def end(self, status: str, **facts: Any) -> None:
        """Record the end of the attempt, durably; nothing is written after it, nor a second end.

        Waits some seconds for room where the disk has none; `unwritten` tells whether that helped.
        """
        self._write("end", {"status": status, **_json_safe(facts)}, last=True)
        if self._writer.flush(self._end_wait_s):
            self._writer.sync()

    def _write(self, kind: str, event: dict[str, Any], **how: bool) -> None:
        self._writer.append({"k": kind, "t": time.time(), **event}, **how)


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
