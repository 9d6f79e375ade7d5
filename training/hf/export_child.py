"""A short process on the CPU that writes a checkpoint down for other programs: JAX restores it.

It reads one JSON object from standard input and says one a line on standard output: progress, and at
the end what it wrote, or why it could not.
"""

import json
import os
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from training import bases
from training.checkpoints import read_metadata
from training.config import make_config
from training.errors import TrainingError
from training.hf.exporting import Asked, require_possible, write_export
from training.hf.target import require_free

TELL_EVERY: Final = 16


def export(request: Mapping[str, Any]) -> dict[str, Any]:
    """Restore the parameters that a checkpoint evaluates, and write them.

    Raises:
        TrainingError: when the checkpoint, the base or the target does not allow it.
    """
    # Only here, in a process of its own.
    import jax

    from training.assembly import assemble, named_leaves
    from training.checkpoint_store import restore_params

    step_dir, root = Path(request["step_dir"]), Path(request["models"])
    bases.use_root(lambda: root)
    asked = Asked(
        format=request["format"],
        target=Path(request["target"]),
        card=request["card"],
        overwrite=request["overwrite"],
        max_shard_bytes=request["max_shard_bytes"],
    )
    metadata = read_metadata(step_dir)
    config = make_config(metadata["config"])
    # Before anything large is read.
    require_possible(config, asked.format)
    require_free(asked.target, overwrite=asked.overwrite)
    _say(phase="restoring")
    # Nothing is computed: what a device would be chosen for does not matter.
    plain = config.model_copy(update={"attention": "auto", "precision": "fp32"})
    assembly = assemble(plain, jax.devices("cpu")[0])
    leaves = named_leaves(restore_params(step_dir, assembly=assembly))
    names = write_export(asked, config, leaves, tell=_progress)
    target = asked.target.absolute()
    return {
        "path": str(target),
        "files": names,
        "bytes": sum((target / name).stat().st_size for name in names),
        "params_hash": metadata.get("params_hash", ""),
    }


def main() -> int:
    """Carry out the request on standard input; 0 when it is written."""
    try:
        result = export(json.load(sys.stdin))
    except TrainingError as error:
        _say(error=str(error))
        return 1
    except Exception as error:
        traceback.print_exc()
        _say(error=f"{type(error).__name__}: {error}", unexpected=True)
        return 1
    _say(result=result)
    return 0


def _progress(done: int, of: int) -> None:
    if done % TELL_EVERY == 0:
        _say(phase="writing", done=done, of=of)


def _say(**facts: Any) -> None:
    # Straight to the descriptor: whoever reads must see it at once, and nothing else comes this way.
    os.write(sys.stdout.fileno(), (json.dumps(facts) + "\n").encode())


if __name__ == "__main__":
    sys.exit(main())
