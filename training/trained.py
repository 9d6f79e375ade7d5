"""What a checkpoint trained, read on the host by itself: without optimizer, device or model."""

from pathlib import Path
from typing import Any, Final

import numpy as np
import orbax.checkpoint as ocp

from training.checkpoints import STATE_NAME, verify
from training.errors import CheckpointError
from training.hashing import leaf_hashes

# The moving average is what is evaluated, where there is one.
_PREFIXES: Final = ("average.weights.", "params.")


def read_trained(step_dir: Path) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
    """Read the metadata of a verified checkpoint, and the arrays of it that are evaluated, by our names.

    Raises:
        CheckpointError: when it is damaged, or does not read back as it was in memory.
    """
    metadata = verify(step_dir)
    hashes = metadata.get("arrays", {})
    try:
        names = list(hashes) or _stored_names(step_dir)
        prefix = next(one for one in _PREFIXES if any(name.startswith(one) for name in names))
        found = _read(step_dir, [name for name in names if name.startswith(prefix)])
    except Exception as error:  # Orbax and TensorStore raise many kinds, none of their own
        raise CheckpointError(f"Checkpoint {step_dir} cannot be read: {error}") from error
    for name, digest in leaf_hashes(found).items() if hashes else ():
        if digest != hashes[name]:
            raise CheckpointError(
                f"Checkpoint {step_dir} does not read back as it was in memory: {name} has other values."
            )
    return metadata, {name.removeprefix(prefix): array for name, array in found.items()}


def _read(step_dir: Path, names: list[str]) -> dict[str, np.ndarray[Any, Any]]:
    as_stored = ocp.RestoreArgs(restore_type=np.ndarray)
    # Shapes and types are those on the disk.
    wanted = ocp.args.PyTreeRestore(
        dict.fromkeys(names, 0), restore_args=dict.fromkeys(names, as_stored), partial_restore=True
    )
    with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
        restored = checkpointer.restore(step_dir.absolute(), args=ocp.args.Composite(**{STATE_NAME: wanted}))
    found: dict[str, np.ndarray[Any, Any]] = restored[STATE_NAME]
    return found


def _stored_names(step_dir: Path) -> list[str]:
    """List the arrays of a checkpoint whose metadata is older than their hashes."""
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
        return list(checkpointer.metadata((step_dir / STATE_NAME).absolute()).item_metadata.tree)
