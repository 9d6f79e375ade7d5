"""Write every point of a run as CSV or JSON lines, a piece at a time."""

import csv
import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from itertools import batched, chain
from typing import Any, Literal

import msgspec

from runs.models import MetricPoint, Run

type Format = Literal["csv", "jsonl"]
CONTENT_TYPES: dict[Format, str] = {
    "csv": "text/csv; charset=utf-8",
    "jsonl": "application/x-ndjson; charset=utf-8",
}
COLUMNS = ("run_id", "name", "step", "value", "non_finite", "at", "attempt", "superseded")
ROWS_A_PIECE = 5000
# What a spreadsheet takes for the beginning of a formula; a name that begins so gets an apostrophe before it.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")


def export_points(
    *,
    run: Run,
    form: Format,
    names: Sequence[str] = (),
    from_step: int | None = None,
    to_step: int | None = None,
    superseded: bool = False,
) -> Iterator[bytes]:
    """Write the points by name, step and attempt, those that resumes overtook only where ``superseded`` asks.

    A value that is not finite is empty (CSV) or null (JSON), and ``non_finite`` says which it was.
    """
    points = MetricPoint.objects.filter(run=run).order_by("name", "step", "attempt")
    if not superseded:
        points = points.filter(superseded=False)
    if names:
        points = points.filter(name__in=names)
    if from_step is not None:
        points = points.filter(step__gte=from_step)
    if to_step is not None:
        points = points.filter(step__lte=to_step)
    rows = points.values_list(*COLUMNS).iterator(chunk_size=ROWS_A_PIECE)
    write = _csv if form == "csv" else _json_lines
    return chain(_heading(form), map(write, batched(rows, ROWS_A_PIECE)))


def _heading(form: Format) -> list[bytes]:
    return [f"{','.join(COLUMNS)}\r\n".encode()] if form == "csv" else []


class _Lines(list[str]):
    """What a CSV writer writes."""

    write = list[str].append


def _csv(rows: Iterable[Sequence[Any]]) -> bytes:
    lines = _Lines()
    csv.writer(lines).writerows(
        (run, disarmed(name), step, value, non_finite, _text(at), attempt, "true" if superseded else "false")
        for run, name, step, value, non_finite, at, attempt, superseded in rows
    )
    return "".join(lines).encode()


def disarmed(text: str) -> str:
    """Keep a spreadsheet from taking a text for a formula."""
    return f"'{text}" if text.lstrip("'").startswith(FORMULA) else text


def rearmed(text: str) -> str:
    """Give a text as it was before `disarmed`."""
    return text[1:] if text.startswith("'") and text.lstrip("'").startswith(FORMULA) else text


def _json_lines(rows: Iterable[Sequence[Any]]) -> bytes:
    encode = msgspec.json.encode
    return b"".join(
        encode(dict(zip(COLUMNS, (*before, _text(at), attempt, superseded), strict=True))) + b"\n"
        for *before, at, attempt, superseded in rows
    )


def _text(at: dt.datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
