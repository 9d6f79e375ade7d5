"""Profiles of runs: where they lie, their files, and their longest operations."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from django.conf import settings

from runs.models import Run
from training.traces import OPERATIONS_NAME, PLACES_NAME

FILES_SHOWN: Final = 100
MAX_TABLE_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class ProfileFile:
    """A file of a profile: its path below the folder, and its size in bytes."""

    name: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile on disk.

    ``operations`` are rows of name, count, seconds, share and place, ``places`` of name, seconds and share.
    """

    folder: Path
    files: list[ProfileFile]
    operations: list[dict[str, Any]] = field(default_factory=list)
    places: list[dict[str, Any]] = field(default_factory=list)


def profile_folder(run: Run) -> Path:
    """Give the folder that gets a run's profile: the one asked for, else that of the run."""
    if named := run.params.get("profile_dir"):
        return Path(named)
    return Path(settings.TUNIX_ARTIFACTS_DIR).resolve() / "profiles" / str(run.pk)


def find_profile(run: Run) -> Profile | None:
    """Find a run's profile; None where it has none, or its folder is gone or lies elsewhere."""
    folder = profile_folder(run)
    try:
        paths = [path for path in sorted(folder.rglob("*")) if path.is_file()][:FILES_SHOWN]
        files = [ProfileFile(str(path.relative_to(folder)), path.stat().st_size) for path in paths]
    except OSError:
        return None
    if not files:
        return None
    # A profile from before operations had places shows them without.
    operations = [{"place": "", **row} for row in _rows(folder / OPERATIONS_NAME, {"name", "count"})]
    return Profile(folder, files, operations, _rows(folder / PLACES_NAME, {"name"}))


def _rows(table: Path, columns: set[str]) -> list[dict[str, Any]]:
    try:
        with table.open("rb") as file:
            rows = json.loads(file.read(MAX_TABLE_BYTES))
    except (OSError, ValueError):
        return []
    wanted = {*columns, "seconds", "share"}
    sound = rows if isinstance(rows, list) else []
    return [row for row in sound if isinstance(row, dict) and wanted <= row.keys()]
