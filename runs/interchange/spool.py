"""Where points of a source wait until all of it is read: a table in a file of its own.

So memory stays bounded however long the history is, nothing reaches the site's database of a source that
turns out broken, and the last write of a step wins, as in the tools that wrote it.
"""

import math
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from runs.metrics.points import MAX_STEP
from tunix_site.errors import InvalidInputError

MAX_METRICS = 50_000
_A_BATCH = 20_000
_SCHEMA = """
CREATE TABLE point (
    run INTEGER, metric INTEGER, step INTEGER, value REAL, word TEXT, at REAL,
    PRIMARY KEY (run, metric, step)
) WITHOUT ROWID
"""


class Spooled(NamedTuple):
    """A point: its value is None where ``word`` says what it is instead of a finite number."""

    step: int
    value: float | None
    word: str
    at: float | None


class PointError(ValueError):
    """A point that the table must not hold; the message says why."""


class Spool:
    """The points of one import, of all its runs."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="tunix-history-")
        self._database = sqlite3.connect(Path(self._folder.name) / "points.sqlite3", isolation_level=None)
        for line in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -65536", "temp_store = FILE"):
            self._database.execute(f"PRAGMA {line}")
        self._database.execute(_SCHEMA)
        self._numbers: dict[tuple[int, str], int] = {}
        self._put: dict[int, int] = {}
        self._waiting: list[tuple[int, int, int, float | None, str, float | None]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()
        self._folder.cleanup()

    def begin(self) -> int:
        """Give the number of a new run."""
        number = len(self._put) + 1
        self._put[number] = 0
        return number

    def put(self, run: int, name: str, step: int, value: float, at: float | None) -> None:
        """Take a point; one of the same name and step that came before is replaced.

        Raises:
            PointError: for a step or name that no run of ours can have.
        """
        if not 0 <= step <= MAX_STEP:
            raise PointError(f"step {step} is not between 0 and {MAX_STEP}")
        metric = self._numbers.get((run, name))
        if metric is None:
            if not name or len(self._numbers) >= MAX_METRICS:
                raise PointError(f"more than {MAX_METRICS} metrics" if name else "a metric without a name")
            metric = self._numbers[run, name] = len(self._numbers) + 1
        if math.isfinite(value):
            self._waiting.append((run, metric, step, value, "", at))
        else:
            word = "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")
            self._waiting.append((run, metric, step, None, word, at))
        self._put[run] += 1
        if len(self._waiting) >= _A_BATCH:
            self._flush()

    def purge(self, run: int, step: int) -> int:
        """Drop a run's points from a step on, which a restarted writer takes back; give how many."""
        self._flush()
        done = self._database.execute("DELETE FROM point WHERE run = ? AND step >= ?", (run, step))
        self._put[run] -= done.rowcount
        return done.rowcount

    def replaced(self, run: int) -> int:
        """Count the points of a run that a later one of the same name and step replaced."""
        return self._put[run] - self.count(run)

    def count(self, run: int) -> int:
        """Count the points of a run."""
        return int(self._one("SELECT count(*) FROM point WHERE run = ?", run) or 0)

    def last_step(self, run: int) -> int:
        """Give the highest step of a run, 0 where it has no points."""
        return int(self._one("SELECT max(step) FROM point WHERE run = ?", run) or 0)

    def times(self, run: int) -> tuple[float | None, float | None]:
        """Give the earliest and the latest moment of a run's points."""
        self._flush()
        row = self._database.execute("SELECT min(at), max(at) FROM point WHERE run = ?", (run,)).fetchone()
        return row[0], row[1]

    def names(self, run: int) -> list[str]:
        """List the metrics of a run that have points, by name."""
        self._flush()
        found = {
            row[0]
            for row in self._database.execute("SELECT DISTINCT metric FROM point WHERE run = ?", (run,))
        }
        return sorted(name for (of, name), number in self._numbers.items() if of == run and number in found)

    def points(self, run: int, name: str) -> Iterator[Spooled]:
        """Give the points of a metric by step."""
        self._flush()
        rows = self._database.execute(
            "SELECT step, value, word, at FROM point WHERE run = ? AND metric = ? ORDER BY step",
            (run, self._numbers[run, name]),
        )
        for row in rows:
            yield Spooled(*row)

    def _one(self, query: str, run: int) -> float | None:
        self._flush()
        found: float | None = self._database.execute(query, (run,)).fetchone()[0]
        return found

    def _flush(self) -> None:
        if not self._waiting:
            return
        try:
            self._database.execute("BEGIN")
            self._database.executemany(
                "INSERT OR REPLACE INTO point VALUES (?, ?, ?, ?, ?, ?)", self._waiting
            )
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            raise InvalidInputError(
                f"The points could not be laid aside in {self._folder.name}: {error}.",
                hint="Make room there, or name another folder with TMPDIR.",
            ) from error
        self._waiting.clear()
