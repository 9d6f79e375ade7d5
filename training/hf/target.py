"""A folder that appears as a whole or not at all. Imports no JAX."""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from training.errors import ConfigError, ExportError
from training.hf.headers import open_regular

README_NAME: Final = "README.md"
# A line of the README of every export, which Markdown does not show: nothing else is ever overwritten.
MARK: Final = "<!-- written by export_model -->"
# A model card, with the longest recipe in it, is far smaller.
_MAX_README: Final = 4 << 20


def require_free(target: Path, *, overwrite: bool) -> None:
    """Refuse a target that has something in it, unless it is an earlier export that may be overwritten.

    Raises:
        ExportError: saying what is there and what to do.
    """
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise ExportError(f"{target} exists and is no folder; choose another one.")
    if not target.exists() or not any(target.iterdir()):
        return
    if not overwrite:
        raise ExportError(f"{target} is not empty. Choose another folder, or overwrite it with --overwrite.")
    if not _is_marked(target) or any(one.is_dir() for one in target.iterdir()):
        raise ExportError(
            f"{target} is no folder that export_model wrote (its {README_NAME} lacks the line {MARK}, or "
            "there are folders in it), so --overwrite leaves it alone: choose another one, or delete it."
        )


@contextlib.contextmanager
def new_folder(target: Path, *, overwrite: bool = False, needed_bytes: int = 0) -> Iterator[Path]:
    """Give a folder beside the target to write in; it gets the target's name once all went well.

    What goes wrong in between leaves the target as it was, and nothing beside it.

    Raises:
        ExportError: as `require_free`; when the disk has no room or refuses.
    """
    target = target.absolute()
    require_free(target, overwrite=overwrite)
    partial = target.with_name(f".{target.name}.partial-{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(target.parent).free
        if free < needed_bytes:
            raise ExportError(
                f"{target} needs {needed_bytes:,} bytes, and its disk has {free:,} free. "
                "Make room, or choose a folder on another disk."
            )
        partial.mkdir()
        yield partial
        _sync(partial)
        _take_place(partial, target)
    except OSError as error:
        full = " The disk is full: make room, or choose another one." if error.errno == errno.ENOSPC else ""
        raise ExportError(f"{target} cannot be written: {error.strerror or error}.{full}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _is_marked(folder: Path) -> bool:
    try:
        with open_regular(folder / README_NAME) as file:
            return MARK.encode() in file.read(_MAX_README).splitlines()
    except (ConfigError, OSError):
        return False


def _take_place(partial: Path, target: Path) -> None:
    if not target.exists():
        partial.rename(target)
        return
    aside = target.with_name(f".{target.name}.replaced-{os.getpid()}")
    target.rename(aside)
    try:
        partial.rename(target)
    except OSError:
        aside.rename(target)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _sync(folder: Path) -> None:
    """Have all files on the disk before the folder gets its name."""
    for path in [*folder.iterdir(), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
