"""A lock of the operating system beside the lease: held by the process that trains, freed by its death.

The lease in the database says who may use a device. This lock makes sure of it on the machine itself
also where the database is wrong, away or restored from a backup, or a process was called lost that still
works: as long as that one lives, no other is started beside it.
"""

import contextlib
import fcntl
import os
import re
import time
from pathlib import Path
from typing import Self

from django.conf import settings

from runs.processes import hostname

RETRY_S = 0.2


class DeviceLockedError(Exception):
    """A process that still lives holds the device; the text says which."""


class DeviceLock:
    """The lock of one device of this host."""

    def __init__(self, key: str) -> None:
        name = re.sub(r"[^A-Za-z0-9_.-]", "_", f"{hostname()}-{key}")
        self.path = Path(settings.TUNIX_ARTIFACTS_DIR) / "locks" / f"{name}.lock"
        self._key = key
        self._file: int | None = None

    def acquire(self, *, holder: str, wait_s: float = 0.0) -> Self:
        """Take the lock, waiting a little for one that is about to end. ``holder`` is noted for others.

        Raises:
            DeviceLockedError: when another process holds it.
            OSError: when the file cannot be written.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        deadline = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() < deadline:
                    time.sleep(RETRY_S)
                    continue
                noted = os.pread(file, 200, 0).decode(errors="replace").strip()
                os.close(file)
                raise DeviceLockedError(
                    f"{self._key} is still used by a process of {noted or 'somebody'}"
                ) from None
            break
        with contextlib.suppress(OSError):
            os.ftruncate(file, 0)
            os.pwrite(file, f"{holder}\n".encode(), 0)
        self._file = file
        return self

    @property
    def fileno(self) -> int:
        """The descriptor to hand to the child, which holds the lock as long as it lives."""
        if self._file is None:
            raise ValueError("the lock is not held")
        return self._file

    def let_go(self) -> None:
        """Close this process's descriptor; the lock stays with a child that was given it."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
