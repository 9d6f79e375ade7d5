"""How long a checkpoint holds the training up, and how long restoring takes.

    python -m benchmarks.save_bench [--model base] [--rounds 4]

Trains a preset on random digits, 4 x 256 tokens an update, and saves after every fourth update as a run
does. Told are the median update away from saves, the stall of a save, the update beside the writing, the
time to write and check, the size, and the time to verify and restore.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import jax

from benchmarks.remat_bench import digits
from training import checkpoint_store
from training.assembly import assemble, first_state
from training.compile_cache import use_cache
from training.config import make_config
from training.data import batch_indices, make_rows
from training.device import select_device
from training.recorder import CheckpointInfo
from training.retention import Retention
from training.saving import Saver
from training.step import compile_step, to_device

BETWEEN = 4


class Heard:
    """The part of a recorder that a saver speaks to."""

    def __init__(self) -> None:
        self.saved: list[CheckpointInfo] = []

    def checkpoint(self, info: CheckpointInfo) -> None:
        """Keep what was saved."""
        self.saved.append(info)

    def checkpoint_gone(self, *_: Any) -> None:
        """Nothing to keep."""

    def log(self, message: str) -> None:
        """Show a warning."""
        print(message)


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="base")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    given = parser.parse_args()
    device = select_device(given.device)
    use_cache(None)
    config = make_config({"model": given.model, "batch_size": 4, "sequence_length": 256})
    heard: Any = Heard()
    quiet: list[float] = []
    beside: list[float] = []
    with tempfile.TemporaryDirectory() as folder, jax.default_device(device.device):
        root = Path(folder)
        rows = make_rows(digits(16, 256), config, content_hash="", cache_dir=None)
        assembly = assemble(config, device.device, rows=rows)
        batch = to_device(
            rows.batch(batch_indices(rows=len(rows), batch_size=4, seed=0, step=0)), device.device
        )
        state = first_state(assembly)
        step = compile_step(assembly, rows, state, batch, micro_batch=4)
        saver = Saver(root, recorder=heard, retention=Retention(newest=2))
        number = 0
        for round_ in range(1 + given.rounds):
            for place in range(BETWEEN):
                began = time.perf_counter()
                state, _ = step(state, batch)
                jax.block_until_ready(state.params)
                number += 1
                seconds = time.perf_counter() - began
                # The first round warms everything up; the first update after a save runs beside its writing.
                if round_ and place == 0 and number > BETWEEN:
                    beside.append(seconds)
                elif round_ and place == BETWEEN - 1:
                    quiet.append(seconds)
            facts = checkpoint_store.describe(assembly, step=number, loss=None)
            saver.save(state, step=number, facts=facts)
        saver.close()
        began = time.perf_counter()
        restored = checkpoint_store.restore(root / str(number), assembly=assembly)
        jax.block_until_ready(restored)
        restore = time.perf_counter() - began
    later = heard.saved[1:]
    update = statistics.median(quiet)
    stall = statistics.median(info.stall_seconds for info in later)
    result = {
        "device": device.device_kind,
        "jax": jax.__version__,
        "model": given.model,
        "state_bytes": sum(leaf.nbytes for leaf in jax.tree.leaves(state)),
        "checkpoint_bytes": heard.saved[-1].size_bytes,
        "update_seconds": update,
        "stall_seconds": stall,
        "first_stall_seconds": heard.saved[0].stall_seconds,
        "stall_share_of_update": stall / update,
        "update_beside_writing_seconds": statistics.median(beside),
        "write_and_check_seconds": statistics.median(info.write_seconds for info in later),
        "restore_seconds": restore,
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
