"""Read folders of TensorBoard's event files: a folder that holds such files is a run."""

import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from runs.interchange.foreign import ForeignRun, Reading, moment, named, regular_file, storable_config
from runs.interchange.spool import PointError, Spool
from runs.interchange.tensorboard_events import SCALARS, Event, WireError, read_event
from runs.interchange.tfrecords import Damage, read_records
from tunix_site.errors import InvalidInputError

FORMAT = "tensorboard"
MARK = "tfevents"
# What the hparams plugin writes beside the values.
_OF_PLUGIN = "_hparams_/"
MAX_FOLDERS = 10_000
# Events whose bytes make a run's identity: the first tells the moment of its start to the microsecond.
_TELLING = 2


def event_files(path: Path) -> Iterator[tuple[Path, list[Path], list[Path]]]:
    """Give each folder at and below ``path`` with its event files, and the links that are not followed."""
    for count, (root, below, files) in enumerate(os.walk(path, followlinks=False), 1):
        below.sort()
        if count > MAX_FOLDERS:
            raise InvalidInputError(
                f"{path} holds more than {MAX_FOLDERS} folders.", hint="Name the folders of the runs."
            )
        found = [Path(root) / name for name in sorted(files) if MARK in name]
        linked = [Path(root) / name for name in below if (Path(root) / name).is_symlink()]
        good = [file for file in found if regular_file(file)]
        linked += [file for file in found if file not in good]
        if good or linked:
            yield Path(root), good, linked


def read(path: Path, spool: Spool, reading: Reading) -> list[ForeignRun]:
    """Read every run at and below ``path``, a folder or a single event file.

    Raises:
        InvalidInputError: where a file is damaged or no event file, saying where in it.
    """
    folders = [(path.parent, [path], [])] if path.is_file() else list(event_files(path))
    links = [str(link) for _, _, linked in folders for link in linked]
    folders = [(folder, files, linked) for folder, files, linked in folders if files]
    runs = []
    for folder, files, _ in folders:
        own = (
            folder.resolve().name if folder == path or path.is_file() else folder.relative_to(path).as_posix()
        )
        run = _Reader(spool, reading, folder).read(files)
        run.name = named(reading, own, alone=len(folders) == 1)
        runs.append(run)
    if links and runs:
        runs[0].notices.append(
            f"links are not followed: {', '.join(links[:5])}{' …' if len(links) > 5 else ''}"
        )
    return runs


class _Reader:
    """Reads the files of one run."""

    def __init__(self, spool: Spool, reading: Reading, folder: Path) -> None:
        self.spool, self.reading = spool, reading
        self.run = ForeignRun(FORMAT, spool.begin(), "", "", str(folder))
        self.scalar_tags: set[str] = set()
        self.others = self.large = self.purged = 0
        self.identity = sha256()
        self.told = 0

    def read(self, files: list[Path]) -> ForeignRun:
        for file in files:
            self._read_file(file)
        run, notices = self.run, self.run.notices
        run.identity = self.identity.hexdigest()
        run.started_at, run.finished_at = self.spool.times(run.number)
        run.config = storable_config(run.config.items(), notices)
        if self.others:
            notices.append(
                f"{self.others} values that are no scalars (pictures, histograms, texts …) were left out"
            )
        if self.large:
            notices.append(f"{self.large} records of more than 8 MiB were left out")
        if self.purged:
            notices.append(f"{self.purged} points were dropped that a restarted writer took back")
        return run

    def _read_file(self, file: Path) -> None:
        try:
            with file.open("rb") as source:
                for record in read_records(source, size=file.stat().st_size):
                    if isinstance(record, Damage):
                        self._damaged(file, record)
                        continue
                    if record.data is None:
                        self.large += 1
                        continue
                    self._take(file, record.offset, record.data)
        except OSError as error:
            raise InvalidInputError(f"{file} cannot be read: {error.strerror}.") from error

    def _damaged(self, file: Path, damage: Damage) -> None:
        where = f"{file}, byte {damage.offset}: {damage.what}"
        if damage.torn:
            self.run.notices.append(f"{where}; what is before was taken")
        elif not self.reading.keep_going:
            raise InvalidInputError(f"{where}.", hint="--keep-going takes what can be read.")
        else:
            self.run.notices.append(
                f"{where}; {'what follows' if damage.ends else 'the record'} was left out"
            )

    def _take(self, file: Path, offset: int, data: bytes) -> None:
        if self.told < _TELLING:
            self.told += 1
            self.identity.update(file.name.encode() if self.told == 1 else b"")
            self.identity.update(data)
        try:
            event = read_event(data)
            if event.restart:
                self.purged += self.spool.purge(self.run.number, event.step)
            if event.scalars:
                moment(event.wall_time, "its wall time")
                self._put(event)
        except (WireError, PointError, InvalidInputError) as error:
            said = error.message.removesuffix(".") if isinstance(error, InvalidInputError) else str(error)
            self._damaged(file, Damage(offset, f"no event that can be stored: {said}", ends=False))
            return
        self.others += event.others
        self.run.config.update(event.hparams)

    def _put(self, event: Event) -> None:
        for scalar in event.scalars:
            if scalar.from_tensor:
                if scalar.plugin == SCALARS:
                    self.scalar_tags.add(scalar.tag)
                elif scalar.plugin or scalar.tag not in self.scalar_tags:
                    self.others += 1
                    continue
            if scalar.value is not None and not scalar.tag.startswith(_OF_PLUGIN):
                self.spool.put(self.run.number, scalar.tag, event.step, scalar.value, event.wall_time)
