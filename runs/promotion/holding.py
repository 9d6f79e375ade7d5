"""A checkpoint that a name points at stays: a mark on the disk tells the trainer, rows tell all others."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from runs.models import Alias, Checkpoint
from training import checkpoints

HOW_TO_FREE: Final = (
    "Point the name elsewhere (manage.py promote) or let it go first. Of a name that follows a metric an "
    "administrator deletes the rule before that (manage.py aliases --no-rule)."
)


def names_of(checkpoint: Checkpoint) -> list[str]:
    """Name what points at a checkpoint, as ``SCOPE:NAME``."""
    return [str(alias) for alias in Alias.objects.filter(checkpoint=checkpoint).order_by("scope", "name")]


def names_of_runs(numbers: Iterable[int]) -> list[tuple[str, Checkpoint]]:
    """List what points at checkpoints of some runs."""
    rows = Alias.objects.filter(checkpoint__run__in=list(numbers)).select_related("checkpoint")
    return [(str(row), row.checkpoint) for row in rows.order_by("scope", "name") if row.checkpoint]


def mark_held(checkpoint: Checkpoint, *, also: Sequence[str] = ()) -> None:
    """Bring the mark in a checkpoint's folder in line with the rows, and with names about to be given."""
    folder = Path(checkpoint.path)
    if checkpoint.removed_at is None and folder.is_dir():
        # The folder may lie on a disk that only its own machine may write to.
        with suppress(OSError):
            checkpoints.hold(folder, names=sorted({*names_of(checkpoint), *also}))


def is_marked_otherwise(checkpoint: Checkpoint, names: Sequence[str]) -> bool:
    """Tell whether the mark on the disk is not what the rows say."""
    return checkpoints.is_held(Path(checkpoint.path)) != bool(names)
