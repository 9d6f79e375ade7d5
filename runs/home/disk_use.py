"""How much room the site's files take, measured a little at a time and remembered with its age.

A folder of checkpoints may hold a million files, so no request walks it: each look goes on with the walk for
a moment, and pages show the last whole measurement until the next one is whole.
"""

import contextlib
import json
import logging
import os
import shutil
import stat
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.db import connection

log = logging.getLogger(__name__)

# A measurement this old is taken again, in the background of the looks that follow.
FRESH_S = 600.0
# What a look may spend on the walk, and how often it asks for the time.
A_LOOK_S = 0.04
_ENTRIES_A_CHECK = 50
MEASURED: Final = {
    "checkpoints": "Checkpoints",
    "runs": "Journals and logs",
    "datasets": "Datasets",
    "models": "Base models",
    "cache": "Caches",
    "profiles": "Profiles",
}
REMEMBERED: Final = Path("cache") / "disk-use.json"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the site's files and its size in bytes."""

    name: str
    label: str
    size: int


@dataclass(frozen=True, slots=True)
class DiskUse:
    """Sizes in bytes; ``at`` is when they were measured in Unix seconds, ``age`` how long that is ago.

    Both are None while they are measured for the first time. ``free`` and ``total`` are of the disk of
    the artifacts, looked up now; None where that cannot be told.
    """

    parts: list[Part]
    at: float | None
    age: float | None
    free: int | None
    total: int | None

    @property
    def used(self) -> int:
        """Bytes of all parts."""
        return sum(part.size for part in self.parts)

    @property
    def is_short(self) -> bool:
        """Whether less than a twentieth of the disk is free."""
        return bool(self.total and self.free is not None and self.free < self.total / 20)


class Walk:
    """Adds up the sizes of all files below a folder's parts, and can be left and taken up again."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.sizes = dict.fromkeys(MEASURED, 0)
        self._steps = self._walk()

    def go_on(self, seconds: float) -> bool:
        """Walk for about so long; tell whether it is done."""
        until = time.monotonic() + seconds
        for count, _ in enumerate(self._steps, 1):
            if count % _ENTRIES_A_CHECK == 0 and time.monotonic() > until:
                return False
        return True

    def _walk(self) -> Iterator[None]:
        for name in MEASURED:
            folders = [self.root / name]
            while folders:
                try:
                    entries = list(os.scandir(folders.pop()))
                except OSError:
                    continue
                for entry in entries:
                    yield
                    try:
                        facts = entry.stat(follow_symlinks=False)
                    except OSError:
                        continue
                    if stat.S_ISDIR(facts.st_mode):
                        folders.append(Path(entry.path))
                    elif stat.S_ISREG(facts.st_mode):
                        # What the disk holds, not what the file claims: some are sparse.
                        self.sizes[name] += facts.st_blocks * 512


class _Meter:
    """The walk of this process for one artifacts folder."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.walk: Walk | None = None

    def look(self, root: Path, now: float) -> dict[str, Any] | None:
        known = _remembered(root)
        if known is not None and 0 <= now - known["at"] < FRESH_S:
            return known
        if not self.lock.acquire(blocking=False):
            return known
        try:
            if self.walk is None or self.walk.root != root:
                self.walk = Walk(root)
            if self.walk.go_on(A_LOOK_S):
                known = {"at": now, "sizes": {"database": database_bytes(), **self.walk.sizes}}
                self.walk = None
                _remember(root, known)
            return known
        finally:
            self.lock.release()


_meter = _Meter()


def disk_use() -> DiskUse:
    """Tell how much room the site takes, and how old that figure is."""
    root, now = Path(settings.TUNIX_ARTIFACTS_DIR), time.time()
    known = _meter.look(root, now)
    named = {"database": "Database", **MEASURED}
    parts = [Part(name, label, known["sizes"].get(name, 0)) for name, label in named.items()] if known else []
    total: int | None = None
    free: int | None = None
    with contextlib.suppress(OSError):
        disk = shutil.disk_usage(root if root.exists() else root.parent)
        total, free = disk.total, disk.free
    at = known["at"] if known else None
    return DiskUse(parts, at, max(0.0, now - at) if at is not None else None, free, total)


def database_bytes() -> int:
    """Give the size of the database, on SQLite with its log beside it."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_database_size(current_database())")
            return int(cursor.fetchone()[0])
    path = str(connection.settings_dict["NAME"])
    return sum(file.stat().st_size for file in (Path(path), Path(f"{path}-wal")) if file.is_file())


def _remembered(root: Path) -> dict[str, Any] | None:
    try:
        known = json.loads((root / REMEMBERED).read_text())
        sizes = {str(name): int(size) for name, size in known["sizes"].items()}
        return {"at": float(known["at"]), "sizes": sizes}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _remember(root: Path, known: dict[str, Any]) -> None:
    path = root / REMEMBERED
    fresh = path.with_name(f"{path.name}.{os.getpid()}.fresh")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(json.dumps(known))
        fresh.replace(path)
    except OSError as error:
        log.warning("What the disk use is could not be remembered in %s: %s", path, error)
