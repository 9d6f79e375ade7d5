"""Whose checkpoints a folder takes: those of the newest attempt of the run that has begun to write there.

On a folder that machines share, a process that was cut off may train on while another one has long gone
on with its run. It must not put its checkpoints among those of the other. Imports no JAX.
"""

import contextlib
import os
from pathlib import Path
from typing import Final

from training.errors import CheckpointError

OWNER_NAME: Final = ".attempt"


def take_over(root: Path, attempt: int) -> None:
    """Let only this attempt, and later ones, write checkpoints here from now on.

    Raises:
        CheckpointError: when a later one has begun to.
    """
    require_owner(root, attempt)
    fresh = root / f"{OWNER_NAME}-{os.getpid()}"
    # A full disk ends no training, and what has no room for this has none for a checkpoint.
    with contextlib.suppress(OSError):
        fresh.write_text(str(attempt))
        fresh.replace(root / OWNER_NAME)


def require_owner(root: Path, attempt: int) -> None:
    """Make sure that no later attempt has taken the folder over.

    Raises:
        CheckpointError: when one has.
    """
    newest = _owner(root)
    if newest > attempt:
        raise CheckpointError(
            f"Attempt {newest} of this run writes its checkpoints to {root}; attempt {attempt} is over."
        )


def _owner(root: Path) -> int:
    try:
        return int((root / OWNER_NAME).read_text())
    except (OSError, ValueError):
        return 0
