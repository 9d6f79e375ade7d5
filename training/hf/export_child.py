"""A short process on the CPU that writes a checkpoint down for other programs: JAX reads it.

It reads one JSON object from standard input and says one a line on standard output: progress, and at
the end what it wrote, or why it could not.
"""

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from training import bases
from training.checkpoints import read_metadata
from training.config import TrainConfig, make_config
from training.errors import TrainingError
from training.hf.exporting import Asked, write_export
from training.hf.formats import require_possible
from training.hf.target import require_free

TELL_EVERY: Final = 16


def export(request: Mapping[str, Any], say: Callable[..., None]) -> dict[str, Any]:
    """Read the parameters that a checkpoint evaluates, and write them; ``say`` hears how far it is.

    Raises:
        TrainingError: when the checkpoint, the base or the target does not allow it.
    """
    # JAX comes with it, in a process of its own.
    from training.trained import read_trained

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
    say(phase="reading")
    _, leaves = read_trained(step_dir)

    def tell(done: int, of: int) -> None:
        if done % TELL_EVERY == 0:
            say(phase="writing", done=done, of=of)

    names = write_export(asked, config, leaves, tell=tell, quantized=_quantized(config))
    target = asked.target.absolute()
    return {
        "path": str(target),
        "files": names,
        "bytes": sum((target / name).stat().st_size for name in names),
        "params_hash": metadata.get("params_hash", ""),
    }


def _quantized(config: TrainConfig) -> Callable[[np.ndarray], np.ndarray] | None:
    """Return what a kernel became while adapters were trained beside it; None: it stayed as it was."""
    if config.method != "qlora":
        return None
    import jax
    import jax.numpy as jnp

    from training.adapters import quantize
    from training.linear import restored

    @jax.jit
    def there_and_back(kernel: Any) -> Any:
        return restored(quantize(kernel, config.quantization), jnp.dtype(jnp.float32))

    return lambda kernel: np.asarray(there_and_back(kernel))


def main() -> int:
    """Carry out the request on standard input; 0 when it is written."""
    # What was begun is cleared away by the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    # Only what is said here goes to the reader; what libraries print goes with the errors.
    reader = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def say(**facts: Any) -> None:
        os.write(reader, (json.dumps(facts) + "\n").encode())

    try:
        result = export(json.load(sys.stdin), say)
    except TrainingError as error:
        say(error=str(error))
        return 1
    except Exception as error:
        traceback.print_exc()
        say(error=f"{type(error).__name__}: {error}", unexpected=True)
        return 1
    say(result=result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
