"""Write the points of runs for other tools: TensorBoard's event files, CSV, JSONL."""

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, TextIO

from runs.interchange.tensorboard_events import scalar_event, version_event
from runs.interchange.tfrecords import framed
from runs.metrics.export import disarmed
from runs.models import MetricPoint, Run
from tunix_site.errors import InvalidInputError, UserError

COLUMNS: Final = ("name", "step", "value", "time")
_WORDS: Final = {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf")}
_A_TIME = 10_000


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written of a run: the file and how many points it holds."""

    run_id: int
    path: str
    points: int


type Row = tuple[str, int, float, float]


def export_run(run: Run, *, format: str, folder: Path, exact: bool = False) -> Exported:
    """Write every point of a run that no later attempt has overtaken.

    The file comes into place whole or not at all, and replaces an older export of the same run.
    TensorBoard's own fast reader knows values of 32 bits alone; ``exact`` writes them with 64.

    Raises:
        InvalidInputError: when the run has no points.
        UserError: when the file cannot be written.
    """
    rows = _rows(run)
    first = next(rows, None)
    if first is None:
        raise InvalidInputError(f"Run {run.pk} has no points to export.")
    target = _target(run, format, folder, first[3])
    fresh = target.with_name(f".{target.name}.fresh")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh.unlink(missing_ok=True)
        with fresh.open("xb") as file:
            count = WRITERS[format](file, _chain(first, rows), exact)
        fresh.replace(target)
    except OSError as error:
        raise UserError(f"{target} cannot be written: {error.strerror}.") from error
    return Exported(run.pk, str(target), count)


def _target(run: Run, format: str, folder: Path, began: float) -> Path:
    if format == "tensorboard":
        # TensorBoard calls the folder's name the run's, and finds the file by the part “tfevents”.
        return folder / f"run-{run.pk}" / f"events.out.tfevents.{max(0, int(began)):010d}.tunix"
    return folder / f"run-{run.pk}.{format}"


def _rows(run: Run) -> Iterator[Row]:
    points = MetricPoint.objects.filter(run=run, superseded=False).order_by("name", "step", "attempt")
    found = points.values_list("name", "step", "value", "non_finite", "at")
    for name, step, value, word, at in found.iterator(_A_TIME):
        yield name, step, _WORDS[word] if value is None else value, at.timestamp()


def _chain(first: Row, rows: Iterator[Row]) -> Iterator[Row]:
    yield first
    yield from rows


def _write_tensorboard(file: BinaryIO, rows: Iterator[Row], exact: bool) -> int:
    count, last = 0, None
    for name, step, value, at in rows:
        if not count:
            file.write(framed(version_event(at)))
        event = scalar_event(name, step=step, wall_time=at, value=value, first=name != last, exact=exact)
        file.write(framed(event))
        count, last = count + 1, name
    return count


def _write_csv(file: BinaryIO, rows: Iterator[Row], _exact: bool) -> int:
    with _as_text(file) as text:
        # Names are quoted, for they may hold anything.
        writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_STRINGS)
        writer.writerow(COLUMNS)
        count = 0
        for name, step, value, at in rows:
            writer.writerow((disarmed(name), step, value, at))
            count += 1
    return count


def _write_jsonl(file: BinaryIO, rows: Iterator[Row], _exact: bool) -> int:
    count = 0
    with _as_text(file) as text:
        for name, step, value, at in rows:
            # JSON has no word for what is not finite, so it stands there as a string.
            shown = value if value - value == 0 else repr(value)
            text.write(json.dumps(dict(zip(COLUMNS, (name, step, shown, at), strict=True))) + "\n")
            count += 1
    return count


def _as_text(file: BinaryIO) -> TextIO:
    return open(file.fileno(), "w", encoding="utf-8", newline="", closefd=False)


WRITERS: Final[dict[str, Callable[[BinaryIO, Iterator[Row], bool], int]]] = {
    "tensorboard": _write_tensorboard,
    "csv": _write_csv,
    "jsonl": _write_jsonl,
}
