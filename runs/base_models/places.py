"""The folder of all base models: unfinished ones beside finished ones, and who may sweep them away."""

import contextlib
import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from training import bases
from tunix_site.errors import ConflictError, UserError

PARTIAL: Final = ".partial-"
DELETED: Final = ".deleted-"
DOWNLOADS: Final = ".hub"
_TURN: Final = ".lock"
# What else writes to the disk should not stand still because of an import.
SPARE_BYTES: Final = 64 << 20


def ready_root() -> Path:
    """Return the folder of all base models, made if it is not there.

    Raises:
        UserError: when it cannot be made.
    """
    root = bases.root()
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"The folder {root} cannot be made: {error.strerror}.") from error
    return root


@contextlib.contextmanager
def partial_folder(root: Path) -> Iterator[Path]:
    """Give an empty folder that vanishes at the end unless renamed; after a kill `sweep` removes it."""
    sweep(root)
    with _turn(root):
        path = root / f"{PARTIAL}{uuid.uuid4().hex}"
        path.mkdir()
        handle = _hold(path)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        if handle is not None:
            os.close(handle)


def sweep(root: Path) -> None:
    """Remove what killed imports and deletions left: folders that no living process holds."""
    with _turn(root):
        for path in [*root.glob(f"{PARTIAL}*"), *root.glob(f"{DELETED}*")]:
            handle = _hold(path)
            if handle is not None:
                shutil.rmtree(path, ignore_errors=True)
                os.close(handle)


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a folder, whatever it is renamed to, so that `sweep` leaves it; one that is not there is fine.

    Raises:
        ConflictError: when it is being written.
    """
    handle = _hold(folder)
    if handle is None and folder.exists():
        raise ConflictError(f"The files in {folder.name[:12]} are just being written.", hint="Try again.")
    try:
        yield
    finally:
        if handle is not None:
            os.close(handle)


def check_room(folder: Path, needed: int, what: str) -> None:
    """Check that so many bytes fit on the disk.

    Raises:
        UserError: with both figures.
    """
    free = shutil.disk_usage(folder).free
    if free < needed + SPARE_BYTES:
        raise UserError(
            f"{what} needs {as_size(needed)} in {folder}, and {as_size(free)} are free.",
            hint="Make room there, or set TUNIX_ARTIFACTS_DIR to a larger disk.",
        )


def sync_folder(folder: Path) -> None:
    """Make the names in a folder outlive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def as_size(size: int) -> str:
    """Write bytes as GiB or MiB."""
    return f"{size / (1 << 30):,.2f} GiB" if size >= 1 << 30 else f"{size / (1 << 20):,.1f} MiB"


@contextlib.contextmanager
def _turn(root: Path) -> Iterator[None]:
    """Let one process at a time make or sweep unfinished folders."""
    with (root / _TURN).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _hold(folder: Path) -> int | None:
    """Hold a folder until the handle is closed or the process is gone; None where another one has it."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle
