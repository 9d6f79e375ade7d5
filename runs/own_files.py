"""The folders and files that belong to one run alone: set aside, put back, removed for good.

Setting aside is a rename beside the place, so it is quick, needs no room, and can be undone as long
as nothing is removed.
"""

import logging
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings

from runs.models import Benchmark, Run
from training import checkpoints

log = logging.getLogger(__name__)

PREFIX = ".deleting-"
_OURS = (checkpoints.PARTIAL_PREFIX, checkpoints.ASIDE_PREFIX, checkpoints.REMOVING_PREFIX, PREFIX)


@dataclass(slots=True)
class SetAside:
    """What was renamed (place, where it lies now), and the folders that were left alone, with why."""

    moved: list[tuple[Path, Path]] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    def take(self, run: Run) -> None:
        """Set aside what belongs to a run.

        Raises:
            OSError: where something cannot be renamed; what was renamed before is known, see `put_back`.
        """
        for place in self._places(run):
            target = place.with_name(f"{PREFIX}{place.name}")
            if os.path.lexists(target):
                # An earlier deletion was killed between the rename and its end.
                self.moved.append((target, target))
            if os.path.lexists(place):
                target = _free_name(target)
                place.rename(target)
                self.moved.append((place, target))

    def put_back(self) -> None:
        """Undo the renames, the last first; what cannot be put back is written to the log."""
        for place, now in reversed(self.moved):
            if place == now:
                continue
            try:
                now.rename(place)
            except OSError as error:
                log.exception("%s could not be put back to %s: %s", now, place, error)

    @property
    def size(self) -> int:
        """Bytes that removing it will free."""
        return sum(size_of(now) for _, now in self.moved)

    def remove(self) -> int:
        """Remove what was set aside, and return the bytes that this freed.

        What resists is left under its new name and written to the log: its run is gone already.
        """
        freed = 0
        for _, now in self.moved:
            before = size_of(now)
            try:
                if now.is_dir() and not now.is_symlink():
                    shutil.rmtree(now)
                else:
                    now.unlink()
            except FileNotFoundError:
                continue
            except OSError as error:
                log.exception("%s could not be removed: %s", now, error)
            freed += before - size_of(now)
        return freed

    def _places(self, run: Run) -> list[Path]:
        artifacts = Path(settings.TUNIX_ARTIFACTS_DIR)
        places = [run.directory, artifacts / "profiles" / str(run.pk)]
        benchmark = Benchmark.objects.filter(run=run).first()
        if benchmark is not None:
            places.append(artifacts / "benchmarks" / f"{benchmark.pk}.json")
        return places + self._checkpoint_places(run)

    def _checkpoint_places(self, run: Run) -> list[Path]:
        """List what of the checkpoint folder is the run's: all of it, or what a run writes there."""
        root = Path(run.checkpoint_dir)
        if not run.checkpoint_dir or not os.path.lexists(root):
            return [root] if root.name == str(run.pk) and root.is_absolute() else []
        if why := _not_its_own(run, root):
            self.left.append(f"{root} {why}")
            return []
        entries = sorted(root.iterdir())
        if all(_written_by_a_run(entry) for entry in entries):
            return [root]
        self.left.append(f"{root} holds other files too, which stay")
        return [entry for entry in entries if _written_by_a_run(entry)]


def _not_its_own(run: Run, root: Path) -> str:
    """Say why a folder of checkpoints is not the run's to delete; empty: it is."""
    if not root.is_absolute() or root.name != str(run.pk):
        return "is not named after the run"
    if root.is_symlink():
        return "is a link to another place"
    if not root.is_dir():
        return "is no folder"
    real = root.resolve()
    for place in (Path(settings.TUNIX_ARTIFACTS_DIR), Path(settings.BASE_DIR)):
        if place.resolve().is_relative_to(real):
            return f"holds {place}"
    others = Run.objects.exclude(pk=run.pk).exclude(checkpoint_dir="")
    near = others.filter(checkpoint_dir__startswith=str(root)).values_list("pk", "checkpoint_dir")
    for pk, folder in near.iterator():
        if Path(folder).is_relative_to(root):
            return f"also holds checkpoints of run {pk}"
    return ""


def _written_by_a_run(entry: Path) -> bool:
    if entry.is_symlink() or not entry.is_dir():
        return False
    return entry.name.isdecimal() or entry.name.startswith(_OURS)


def _free_name(path: Path) -> Path:
    free, number = path, 0
    while os.path.lexists(free):
        number += 1
        free = path.with_name(f"{path.name}-{number}")
    return free


def size_of(path: Path) -> int:
    """Add up the bytes that removing a file or folder frees; links are not followed."""
    if not os.path.lexists(path):
        return 0
    if path.is_symlink() or not path.is_dir():
        return _size(path)
    return sum(_size(Path(folder, name)) for folder, _, names in os.walk(path) for name in names)


def _size(path: Path) -> int:
    try:
        facts = path.lstat()
    except OSError:
        return 0
    # A file that has another name somewhere frees nothing.
    return facts.st_size if facts.st_nlink == 1 else 0
