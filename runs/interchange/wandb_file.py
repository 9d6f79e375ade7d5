"""Read offline runs of W&B (``run-….wandb``) without its package.

The records are the messages of its ``wandb_internal.proto``; histories, the run, its config and its exit
are read.
"""

import json
import os
from pathlib import Path
from typing import Any, Final

from runs.interchange.foreign import ForeignRun, Reading, moment, named, regular_file, storable_config
from runs.interchange.jsonl_file import flattened
from runs.interchange.spool import PointError, Spool
from runs.interchange.tables import NON_FINITE
from runs.interchange.tfrecords import Damage
from runs.interchange.wandb_log import HEADER, read_records
from runs.interchange.wire import WireError, message, number, read_fields, text
from runs.states import Status
from tunix_site.errors import InvalidInputError

FORMAT: Final = "wandb"
SUFFIX: Final = ".wandb"
MAX_FILES = 10_000
# What a history says beside its metrics.
_STEP, _TIME = "_step", "_timestamp"


def find(path: Path) -> list[Path]:
    """List the offline files at and below a folder; links are not followed."""
    found: list[Path] = []
    for root, below, files in os.walk(path, followlinks=False):
        below.sort()
        found += [Path(root) / name for name in sorted(files) if name.endswith(SUFFIX)]
        if len(found) > MAX_FILES:
            raise InvalidInputError(f"{path} holds more than {MAX_FILES} runs of W&B.")
    return [file for file in found if regular_file(file)]


def read(path: Path, spool: Spool, reading: Reading) -> list[ForeignRun]:
    """Read one offline file, or all of a folder.

    Raises:
        InvalidInputError: where a file is damaged or no such file, saying where in it.
    """
    files = [path] if path.is_file() else find(path)
    return [_Reader(file, spool, reading).read(alone=len(files) == 1) for file in files]


class _Reader:
    """Reads one file."""

    def __init__(self, file: Path, spool: Spool, reading: Reading) -> None:
        self.file, self.spool, self.reading = file, spool, reading
        self.run = ForeignRun(FORMAT, spool.begin(), "", "", str(file))
        self.run.status, self.run.reason = Status.LOST, "its file ends without an end of the run"
        self.config: dict[str, Any] = {}
        self.own_name = ""
        self.others = self.stats = 0

    def read(self, *, alone: bool) -> ForeignRun:
        try:
            with self.file.open("rb") as source:
                if source.read(len(HEADER)) != HEADER:
                    raise InvalidInputError(f"{self.file}, byte 0: no offline file of W&B begins like this.")
                for record in read_records(source, size=self.file.stat().st_size):
                    if isinstance(record, Damage):
                        self._damaged(record)
                    elif record.data is None:
                        self.run.notices.append(
                            f"{self.file}, byte {record.offset}: a record too large was left out"
                        )
                    else:
                        self._take(record.offset, record.data)
        except OSError as error:
            raise InvalidInputError(f"{self.file} cannot be read: {error.strerror}.") from error
        return self._finished(alone=alone)

    def _finished(self, *, alone: bool) -> ForeignRun:
        run = self.run
        if not run.identity:
            raise InvalidInputError(f"{self.file} does not say which run it is of.")
        run.name = named(self.reading, self.own_name, alone=alone)
        run.config = storable_config(flattened(self.config), run.notices)
        first, last = self.spool.times(run.number)
        run.started_at = run.started_at or first
        run.finished_at = last or run.started_at
        if self.others:
            run.notices.append(
                f"{self.others} values that are no numbers (media, tables, texts) were left out"
            )
        if self.stats:
            run.notices.append(f"{self.stats} measurements of its machine, which have no step, were left out")
        return run

    def _damaged(self, damage: Damage) -> None:
        where = f"{self.file}, byte {damage.offset}: {damage.what}"
        if damage.torn:
            self.run.notices.append(f"{where}; what is before was taken")
        elif not self.reading.keep_going:
            raise InvalidInputError(f"{where}.", hint="--keep-going takes what can be read.")
        else:
            self.run.notices.append(
                f"{where}; {'what follows' if damage.ends else 'the record'} was left out"
            )

    def _take(self, offset: int, data: bytes) -> None:
        try:
            for name, _, value in read_fields(data):
                match name:
                    case 2:
                        self._history(message(value))
                    case 5:
                        self._update_config(message(value))
                    case 7:
                        self.stats += 1
                    case 17:
                        self._describe(message(value))
                    case 18:
                        self._exit(message(value))
        except (WireError, PointError, InvalidInputError) as error:
            said = error.message.removesuffix(".") if isinstance(error, InvalidInputError) else str(error)
            self._damaged(Damage(offset, f"no record that can be stored: {said}", ends=False))

    def _history(self, data: bytes) -> None:
        step: int | None = None
        values: list[tuple[str, Any]] = []
        for name, _, part in read_fields(data):
            if name == 1:
                values.append(_item(message(part)))
            elif name == 2:
                found = [number(item) for tag, _, item in read_fields(message(part)) if tag == 1]
                step = found[-1] if found else 0
        flat = dict(flattened(dict(values)))
        own, at = flat.pop(_STEP, step), flat.pop(_TIME, None)
        step = own if step is None else step
        if not isinstance(step, int) or isinstance(step, bool):
            raise WireError("a history without a step")
        if not isinstance(at, int | float) or isinstance(at, bool):
            at = None
        else:
            moment(at, "its _timestamp")
        for metric, written in flat.items():
            value = NON_FINITE.get(written.lower()) if isinstance(written, str) else written
            if isinstance(value, int | float) and not isinstance(value, bool):
                self.spool.put(self.run.number, metric, step, _float(value), at)
            elif not metric.startswith("_"):
                self.others += 1

    def _update_config(self, data: bytes) -> None:
        for name, _, value in read_fields(data):
            if name == 1:
                key, item = _item(message(value))
                if not key.startswith("_wandb"):
                    self.config[key] = item
            elif name == 2:
                self.config.pop(_item(message(value))[0], None)

    def _describe(self, data: bytes) -> None:
        run, told = self.run, {}
        for name, _, value in read_fields(data):
            match name:
                case 1 | 3 | 8 | 9 | 13:
                    told[name] = text(value)
                case 4:
                    self._update_config(message(value))
                case 10:
                    run.tags.append(text(value))
                case 17:
                    run.started_at = _timestamp(message(value))
        run.identity = f"{told.get(3, '')}/{told.get(1, '')}"
        self.own_name = told.get(8) or told.get(1) or self.file.stem
        run.notes, run.host = told.get(9, ""), told.get(13, "")

    def _exit(self, data: bytes) -> None:
        code = next((number(value) for name, _, value in read_fields(data) if name == 1), 0)
        self.run.status = Status.FAILED if code else Status.COMPLETED
        self.run.reason = f"its process ended with exit code {code}"


def _item(data: bytes) -> tuple[str, Any]:
    key, nested, value = "", [], "null"
    for name, _, part in read_fields(data):
        if name == 1:
            key = text(part)
        elif name == 2:
            nested.append(text(part))
        elif name == 16:
            value = text(part)
    try:
        return ".".join(nested) if nested else key, json.loads(value)
    except (ValueError, RecursionError) as error:
        raise WireError(f"the value of {(key or '.'.join(nested))[:80]!r} is no JSON") from error


def _timestamp(data: bytes) -> float:
    parts = {name: number(value) for name, _, value in read_fields(data)}
    seconds = parts.get(1, 0) + parts.get(2, 0) / 1e9
    moment(seconds, "its start")
    return seconds


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError as error:
        raise WireError("a number too large") from error
