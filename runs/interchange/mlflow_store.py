"""Read what MLflow keeps without a server: folders of files (``mlruns``), or an SQLite database."""

import os
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from runs.interchange.foreign import ForeignRun, Reading, moment, named, regular_file, storable_config
from runs.interchange.spool import PointError, Spool
from runs.interchange.tables import NON_FINITE
from runs.interchange.text_lines import read_lines
from runs.states import Status
from tunix_site.errors import InvalidInputError

FORMAT: Final = "mlflow"
META: Final = "meta.yaml"
MAX_RUNS = 10_000
MAX_TEXT = 64 << 10
# The files name a status by number, the database by word.
_STATUS: Final = {
    "1": "RUNNING",
    "2": "SCHEDULED",
    "3": "FINISHED",
    "4": "FAILED",
    "5": "KILLED",
}
_ENDS: Final = {"FINISHED": Status.COMPLETED, "FAILED": Status.FAILED, "KILLED": Status.STOPPED}
# What its database holds in place of the infinities.
_INFINITE: Final = {1.7976931348623157e308: "inf", -1.7976931348623157e308: "-inf"}
_NAME, _NOTE = "mlflow.runName", "mlflow.note.content"


@dataclass(slots=True)
class _Told:
    """What a store says of a run, before it is sorted."""

    uid: str
    name: str = ""
    status: str = ""
    start: str = ""
    end: str = ""
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


def run_folders(path: Path) -> Iterator[Path]:
    """Give the folders of runs at and at most two levels below ``path``: of a run, experiment or store."""
    if (path / META).is_file() and (path / "metrics").is_dir():
        yield path
        return
    for level in ("*", "*/*"):
        for meta in sorted(path.glob(f"{level}/{META}")):
            folder = meta.parent
            linked = folder.is_symlink() or folder.parent.is_symlink()
            if regular_file(meta) and not linked and (folder / "metrics").is_dir():
                yield folder


def read(path: Path, spool: Spool, reading: Reading) -> list[ForeignRun]:
    """Read every run of a store that was not deleted.

    Raises:
        InvalidInputError: where a file or table is none of MLflow, saying where.
    """
    if path.is_dir() and not any(run_folders(path)) and (path / "mlflow.db").is_file():
        path = path / "mlflow.db"
    runs = _read_database(path, spool) if path.is_file() else _read_folders(path, spool)
    for run in runs:
        run.name = named(reading, run.name, alone=len(runs) == 1)
    return runs


def _read_folders(path: Path, spool: Spool) -> list[ForeignRun]:
    runs: list[ForeignRun] = []
    for folder in run_folders(path):
        meta = dict(_meta(folder / META))
        if meta.get("lifecycle_stage") == "deleted":
            continue
        if len(runs) >= MAX_RUNS:
            raise InvalidInputError(f"{path} holds more than {MAX_RUNS} runs.")
        told = _Told(
            uid=meta.get("run_id") or meta.get("run_uuid") or folder.name,
            name=meta.get("run_name", ""),
            status=_STATUS.get(meta.get("status", ""), ""),
            start=meta.get("start_time", ""),
            end=meta.get("end_time", ""),
            params=dict(_texts(folder / "params")),
            tags=dict(_texts(folder / "tags")),
        )
        run = _begin(told, spool, f"{folder / META}", str(folder))
        for name, file in _below(folder / "metrics"):
            for number, line in enumerate(read_lines(file), 1):
                where = f"{file}, line {number}"
                words = line.split()
                if not words:
                    continue
                if not 2 <= len(words) <= 5:
                    raise InvalidInputError(f"{where}: not “timestamp value step”.")
                step = words[2] if len(words) > 2 else "0"
                _put(spool, run, name, step=step, value=words[1], at=words[0], where=where)
        runs.append(_ended(run, spool))
    return runs


def _meta(file: Path) -> Iterator[tuple[str, str]]:
    """Read the plain ``name: value`` lines that MLflow writes; it nests nothing there."""
    for line in read_lines(file):
        name, colon, value = line.partition(":")
        value = value.strip()
        if value[:1] in {"'", '"'} and value[-1:] == value[:1] and len(value) > 1:
            value = value[1:-1].replace("''", "'") if value[0] == "'" else value[1:-1]
        if colon and not name.startswith((" ", "-", "#")) and value != "null":
            yield name.strip(), value


def _texts(folder: Path) -> Iterator[tuple[str, str]]:
    for name, file in _below(folder):
        with file.open("rb") as source:
            yield name, source.read(MAX_TEXT).decode("utf-8", "replace").rstrip("\n")


def _below(folder: Path) -> Iterator[tuple[str, Path]]:
    """Give the files below a folder by their names in MLflow, which may hold slashes."""
    for root, below, files in os.walk(folder, followlinks=False):
        below.sort()
        for name in sorted(files):
            file = Path(root) / name
            if regular_file(file):
                yield file.relative_to(folder).as_posix(), file


def _read_database(path: Path, spool: Spool) -> list[ForeignRun]:
    runs: list[ForeignRun] = []
    try:
        database = sqlite3.connect(f"file:{quote(str(path.resolve()))}?mode=ro", uri=True)
        try:
            database.execute("PRAGMA trusted_schema = OFF")
            tables = {
                row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            }
            if missing := {"runs", "metrics", "params", "tags"} - tables:
                raise InvalidInputError(
                    f"{path} is no database of MLflow: it has no table {sorted(missing)[0]}."
                )
            rows = database.execute(
                "SELECT run_uuid, name, status, start_time, end_time FROM runs "
                "WHERE lifecycle_stage = 'active' ORDER BY start_time, run_uuid LIMIT ?",
                (MAX_RUNS + 1,),
            ).fetchall()
            if len(rows) > MAX_RUNS:
                raise InvalidInputError(f"{path} holds more than {MAX_RUNS} runs.")
            runs += [_read_rows(database, path, spool, [_text(cell) for cell in row]) for row in rows]
        finally:
            database.close()
    except sqlite3.Error as error:
        raise InvalidInputError(f"{path} cannot be read as an SQLite database: {error}.") from error
    return runs


def _read_rows(database: sqlite3.Connection, path: Path, spool: Spool, row: list[str]) -> ForeignRun:
    uid = row[0]
    params = database.execute("SELECT key, value FROM params WHERE run_uuid = ?", (uid,))
    told = _Told(
        uid, row[1], row[2], row[3], row[4], params={_text(key): _text(value) for key, value in params}
    )
    tags = database.execute("SELECT key, value FROM tags WHERE run_uuid = ?", (uid,))
    told.tags = {_text(key): _text(value)[:MAX_TEXT] for key, value in tags}
    run = _begin(told, spool, f"{path}, run {uid}", str(path))
    points = database.execute(
        "SELECT key, step, value, timestamp, is_nan FROM metrics WHERE run_uuid = ? "
        "ORDER BY timestamp, rowid",
        (uid,),
    )
    for key, step, stored, at, is_nan in points:
        value = "nan" if is_nan else _INFINITE.get(stored, stored)
        where = f"{path}, run {uid}, metric {_text(key)[:80]}"
        _put(spool, run, _text(key), step=_text(step), value=_text(value), at=_text(at), where=where)
    return _ended(run, spool)


def _text(cell: Any) -> str:
    return "" if cell is None else str(cell)


def _begin(told: _Told, spool: Spool, where: str, source: str) -> ForeignRun:
    run = ForeignRun(FORMAT, spool.begin(), told.uid, told.name or told.tags.get(_NAME) or told.uid, source)
    run.config = storable_config(sorted(told.params.items()), run.notices)
    run.tags = [name if value == "true" else f"{name}/{value}" for name, value in _own(told.tags.items())]
    run.notes = told.tags.get(_NOTE, "")
    run.host = told.tags.get("mlflow.source.host", "")
    run.status = _ENDS.get(told.status, Status.LOST)
    run.reason = f"MLflow calls it {told.status or 'nothing that is known'}"
    run.started_at = _milliseconds(told.start, f"{where}, start_time")
    run.finished_at = _milliseconds(told.end, f"{where}, end_time")
    return run


def _own(tags: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return sorted((name, value) for name, value in tags if not name.startswith("mlflow."))


def _milliseconds(words: str, where: str) -> float | None:
    if words in {"", "None"}:
        return None
    try:
        seconds = float(words) / 1000
    except ValueError:
        raise InvalidInputError(f"{where}: {words[:60]!r} is no time.") from None
    moment(seconds, where)
    return seconds


def _put(spool: Spool, run: ForeignRun, name: str, *, step: str, value: str, at: str, where: str) -> None:
    try:
        number = int(step)
        read = NON_FINITE.get(value.lower(), None)
        read = float(value) if read is None else read
    except ValueError:
        raise InvalidInputError(
            f"{where}: step {step[:40]!r} or value {value[:40]!r} is no number."
        ) from None
    try:
        spool.put(run.number, name, number, read, _milliseconds(at, where))
    except PointError as error:
        raise InvalidInputError(f"{where}: {error}.") from error


def _ended(run: ForeignRun, spool: Spool) -> ForeignRun:
    first, last = spool.times(run.number)
    run.started_at = run.started_at if run.started_at is not None else first
    run.finished_at = run.finished_at if run.finished_at is not None else last
    return run
