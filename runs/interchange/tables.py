"""Make points of the rows of a table, wide or long; CSV and JSONL share it.

Wide: a column of steps, maybe one of times, and a column for each metric. Long: columns of names, steps
and values. A column of runs splits either into several runs.
"""

import datetime as dt
import json
import math
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

from runs.interchange.foreign import ForeignRun, Reading, moment
from runs.interchange.spool import PointError, Spool
from runs.metrics.export import rearmed
from tunix_site.errors import InvalidInputError

STEPS: Final = ("step", "_step", "global_step", "trainer/global_step", "iteration", "iter", "epoch")
TIMES: Final = ("wall_time", "wall time", "walltime", "timestamp", "_timestamp", "time", "at", "date")
NAMES: Final = ("name", "metric", "metric_name", "tag", "key")
VALUES: Final = ("value", "metric_value")
RUNS: Final = ("run", "run_id", "run_name")
# Columns of our own export that are no metrics of a wide table.
OVERTAKEN, WORD, ATTEMPT = "superseded", "non_finite", "attempt"
NON_FINITE: Final = {
    "nan": math.nan,
    "inf": math.inf,
    "+inf": math.inf,
    "infinity": math.inf,
    "+infinity": math.inf,
    "-inf": -math.inf,
    "-infinity": -math.inf,
}
MAX_RUNS = 1000
# Seconds until the year 5138; more can only be milliseconds.
_MOST_SECONDS = 1e11


def shape_of(columns: list[str], reading: Reading) -> dict[str, str]:
    """Find which column plays which part: ``step``, ``time``, ``run``; of a long table ``name``, ``value``.

    Raises:
        InvalidInputError: when no column holds the steps; the message lists the columns.
    """
    lower = {column.strip().lower(): column for column in reversed(columns)}

    def first(words: tuple[str, ...]) -> str | None:
        return next((lower[word] for word in words if word in lower), None)

    step = reading.step_column or first(STEPS)
    if step is None or step not in columns:
        shown = ", ".join(columns[:12])[:300]
        raise InvalidInputError(
            f"there is no column {step!r}" if step else f"no column holds the steps (there are: {shown})",
            hint="Name it with --step-column.",
        )
    parts = {"step": step}
    name, value = first(NAMES), first(VALUES)
    if name and value:
        parts |= {"name": name, "value": value}
    for part, words in (("time", TIMES), ("run", RUNS)):
        found = first(words)
        if found is not None and found not in parts.values():
            parts[part] = found
    return parts


class Table:
    """Takes rows and gives runs. ``strict``: text where a number belongs is an error, else it is left out."""

    def __init__(
        self, spool: Spool, reading: Reading, *, format: str, strict: bool, changed_at: float
    ) -> None:
        self.spool, self.reading, self.format, self.strict = spool, reading, format, strict
        self.changed_at = changed_at
        self.parts: dict[str, str] = {}
        self.runs: dict[str, ForeignRun] = {}
        self.left_out: dict[str, int] = {}
        self.overtaken = 0
        self.timeless = False

    def take(self, row: Mapping[str, Any], where: str) -> None:
        """Take one row; ``where`` names its file and line.

        Raises:
            InvalidInputError: naming file, line and column.
        """
        if str(row.get(OVERTAKEN, "")).lower() in {"true", "1"}:
            self.overtaken += 1
            return
        step = self._step(row.get(self.parts["step"]), where)
        at = self._time(row, where)
        if "name" in self.parts:
            name = str(row.get(self.parts["name"]) or "")
            cells = {rearmed(name) if self.strict else name: self._long_value(row)}
            column = self.parts["value"]
        else:
            own = set(self.parts.values())
            cells, column = {name: cell for name, cell in row.items() if name not in own}, ""
        run = self._run(str(row.get(self.parts.get("run", ""), "") or ""), where)
        for name, cell in cells.items():
            if name in self.reading.ignore:
                continue
            value = self._value(cell, name, f"{where}, column {column or name}")
            if value is None:
                continue
            if not run.identity:
                run.identity = _digest(self.format, run.name, name, step, value)
            try:
                self.spool.put(run.number, name, step, value, at)
            except PointError as error:
                raise InvalidInputError(f"{where}: {error}.") from error

    def finish(self, source: str, own_name: str) -> list[ForeignRun]:
        """Give the runs, their names made of the file's where the rows name none."""
        found = [run for run in self.runs.values() if run.identity]
        for name, count in sorted(self.left_out.items())[:20]:
            self._note(found, f"{count} values of {name[:80]} are no numbers and were left out")
        if self.overtaken:
            self._note(found, f"{self.overtaken} overtaken points were left out")
        if self.timeless:
            self._note(found, "it tells no times: each point carries that of the file's last change")
        for run in found:
            parts = [self.reading.name or ("" if run.name else own_name), run.name]
            run.name = "/".join(part for part in parts if part)
            run.identity = _digest(run.identity, run.name)
            run.source = source
            run.started_at, run.finished_at = self.spool.times(run.number)
        return found

    def _note(self, runs: list[ForeignRun], notice: str) -> None:
        for run in runs[:1]:
            run.notices.append(notice)

    def _run(self, name: str, where: str) -> ForeignRun:
        run = self.runs.get(name)
        if run is None:
            if len(self.runs) >= MAX_RUNS:
                raise InvalidInputError(f"{where}: more than {MAX_RUNS} runs.")
            run = self.runs[name] = ForeignRun(self.format, self.spool.begin(), "", name, "")
        return run

    def _step(self, cell: Any, where: str) -> int:
        try:
            value = float(cell) if not isinstance(cell, bool) else math.nan
            step = int(cell) if isinstance(cell, int) or str(cell).strip().isdecimal() else int(value)
            if step == value:
                return step
        except (TypeError, ValueError, OverflowError):
            pass
        raise InvalidInputError(f"{where}, column {self.parts['step']}: {_shown(cell)} is no step.")

    def _time(self, row: Mapping[str, Any], where: str) -> float:
        cell = row.get(self.parts["time"]) if "time" in self.parts else None
        if cell in (None, ""):
            self.timeless = True
            return self.changed_at
        where = f"{where}, column {self.parts['time']}"
        try:
            seconds = float(cell)
        except (TypeError, ValueError, OverflowError):
            try:
                read = dt.datetime.fromisoformat(str(cell).strip())
            except ValueError:
                raise InvalidInputError(f"{where}: {_shown(cell)} is no time.") from None
            return read.replace(tzinfo=read.tzinfo or dt.UTC).timestamp()
        seconds = seconds / 1000 if abs(seconds) > _MOST_SECONDS else seconds
        moment(seconds, where)
        return seconds

    def _long_value(self, row: Mapping[str, Any]) -> Any:
        value = row.get(self.parts["value"])
        return row.get(WORD) or value if value in (None, "") else value

    def _value(self, cell: Any, name: str, where: str) -> float | None:
        """Read a value; None where there is none."""
        if cell is None or cell == "":
            return None
        if isinstance(cell, int | float) and not isinstance(cell, bool):
            try:
                return float(cell)
            except OverflowError:
                raise InvalidInputError(f"{where}: {_shown(cell)} is too large for a number.") from None
        if isinstance(cell, str):
            words = cell.strip()
            if words.lower() in NON_FINITE:
                return NON_FINITE[words.lower()]
            if self.strict and words:
                try:
                    # Python would also take 1_000, which no tool writes.
                    return float(words.replace("_", "?"))
                except ValueError:
                    raise InvalidInputError(
                        f"{where}: {_shown(cell)} is no number.",
                        hint=f"--ignore {name[:80]!r} leaves the column out.",
                    ) from None
            if not words:
                return None
        self.left_out[name] = self.left_out.get(name, 0) + 1
        return None


def _digest(*parts: Any) -> str:
    return sha256(json.dumps(parts).encode()).hexdigest()


def _shown(cell: Any) -> str:
    text = repr(cell)
    return text if len(text) <= 60 else f"{text[:60]}…"
