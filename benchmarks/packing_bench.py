"""Packed rows against padded ones on GSM8K: share of real tokens, and real tokens trained a second.

    python -m benchmarks.packing_bench --data DIRECTORY [--model tiny] [--rounds 7] [--device cpu]

DIRECTORY holds gsm8k/train.jsonl; without --data it is taken from TUNIX_TEST_DATA. Three layouts
of the same recipe train in turn, one update each a round, and the median over the rounds counts:
packed rows of 1,024 positions, padded rows of the same traces, and padded rows of all traces, which
are as wide as the longest of them. The first two leave out the traces that are too long.
"""

import argparse
import json
import os
import statistics
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax

from training.assembly import TrainState, assemble, first_state
from training.compile_cache import use_cache
from training.config import make_config
from training.data import AnyRows, Batch, batch_indices, make_rows
from training.device import select_device
from training.examples import TraceExample
from training.step import CompiledStep, compile_step, to_device

SEQUENCE_LENGTH = 1024
LAYOUTS: dict[str, dict[str, Any]] = {
    "packed": {"sequence_length": SEQUENCE_LENGTH, "packing": True},
    "padded, same traces": {"sequence_length": SEQUENCE_LENGTH, "packing": False},
    "padded, all traces": {"sequence_length": 131072, "packing": False},
}


@dataclass
class Arm:
    """One layout with its own copy of the model."""

    rows: AnyRows
    step: CompiledStep
    state: TrainState
    batches: list[Batch]
    seconds: list[float] = field(default_factory=list)
    tokens_per_second: list[float] = field(default_factory=list)

    def update(self, number: int, device: jax.Device, *, timed: bool) -> None:
        """Do one update and wait for its parameters."""
        batch = self.batches[number % len(self.batches)]
        placed = jax.block_until_ready(to_device(batch, device))
        began = time.perf_counter()
        self.state, _ = self.step(self.state, placed)
        jax.block_until_ready(self.state.params)
        seconds = time.perf_counter() - began
        if timed:
            self.seconds.append(seconds)
            self.tokens_per_second.append(batch.real_tokens / seconds)


def read_gsm8k(path: Path) -> list[TraceExample]:
    """Read the training questions with their steps and answers."""
    examples = []
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            record = json.loads(line)
            *steps, last = record["answer"].split("\n")
            answer = last.removeprefix("#### ")
            examples.append(TraceExample(f"{number:064x}", record["question"], tuple(steps), answer))
    return examples


def make_arm(
    examples: list[TraceExample], device: jax.Device, *, model: str, batch_size: int, layout: dict[str, Any]
) -> Arm:
    """Lay out the rows and compile the update for them."""
    config = make_config({"model": model, "batch_size": batch_size, "long_traces": "drop", **layout})
    rows = make_rows(examples, config, content_hash="", cache_dir=None)
    assembly = assemble(config, device, rows=rows)
    batches = [
        rows.batch(batch_indices(rows=len(rows), batch_size=batch_size, seed=config.seed, step=step))
        for step in range(8)
    ]
    state = first_state(assembly)
    step = compile_step(assembly, rows, state, to_device(batches[0], device), micro_batch=batch_size)
    return Arm(rows, step, state, batches)


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("TUNIX_TEST_DATA"))
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    given = parser.parse_args()
    if given.data is None:
        sys.exit("Name the folder that holds gsm8k/train.jsonl: --data DIRECTORY, or set TUNIX_TEST_DATA.")
    examples = read_gsm8k(Path(given.data) / "gsm8k" / "train.jsonl")
    device = select_device(given.device)
    use_cache(None)
    with jax.default_device(device.device):
        arms = {
            name: make_arm(
                examples, device.device, model=given.model, batch_size=given.batch_size, layout=layout
            )
            for name, layout in LAYOUTS.items()
        }
        for number in range(1 + given.rounds):
            for arm in arms.values():
                # The first update of each warms caches up.
                arm.update(number, device.device, timed=number > 0)
    speeds = {name: statistics.median(arm.tokens_per_second) for name, arm in arms.items()}
    result = {
        "device": device.device_kind,
        "jax": jax.__version__,
        "model": given.model,
        "batch_size": given.batch_size,
        "layouts": {
            name: {
                **arm.rows.facts(),
                "step_seconds": statistics.median(arm.seconds),
                "real_tokens_per_second": speeds[name],
                "packed_is_faster_by": speeds["packed"] / speeds[name],
            }
            for name, arm in arms.items()
        },
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
