"""What rematerialisation and scanned layers cost and save: one update of a preset under each choice.

    python -m benchmarks.remat_bench [--model base] [--batch-size 4] [--sequence-length 256] [--rounds 3]

The choices train in turn, one update each a round, on traces of random digits that fill their rows.
Temporary memory is what the compiled update's own analysis says.
"""

import argparse
import itertools
import json
import random
import statistics
import time

import jax

from training.assembly import assemble, first_state
from training.compile_cache import use_cache
from training.config import make_config
from training.data import batch_indices, make_rows
from training.device import select_device
from training.examples import TraceExample
from training.step import compile_step, to_device

CHOICES = tuple(itertools.product(("none", "block", "dots"), (False, True)))


def digits(count: int, length: int) -> list[TraceExample]:
    """Make traces of random digits, each about ``length`` bytes long."""
    draw = random.Random(0)  # noqa: S311
    return [
        TraceExample(f"{number:064x}", "".join(draw.choices("0123456789", k=length - 20)), ("1+1=2",), "2")
        for number in range(count)
    ]


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="base")
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--sequence-length", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    given = parser.parse_args()
    device = select_device(given.device)
    use_cache(None)
    examples = digits(4 * given.batch_size, given.sequence_length)
    results: dict[tuple[str, bool], dict[str, float]] = {}
    seconds: dict[tuple[str, bool], list[float]] = {choice: [] for choice in CHOICES}
    steps, states = {}, {}
    with jax.default_device(device.device):
        for remat, scan_layers in CHOICES:
            config = make_config(
                {
                    "model": given.model, "batch_size": given.batch_size, "remat": remat,
                    "sequence_length": given.sequence_length, "scan_layers": scan_layers,
                }
            )  # fmt: skip
            rows = make_rows(examples, config, content_hash="", cache_dir=None)
            assembly = assemble(config, device.device, rows=rows)
            chosen = batch_indices(rows=len(rows), batch_size=config.batch_size, seed=0, step=0)
            batch = to_device(rows.batch(chosen), device.device)
            state = first_state(assembly)
            step = compile_step(assembly, rows, state, batch, micro_batch=config.batch_size)
            steps[remat, scan_layers], states[remat, scan_layers] = step, state
            results[remat, scan_layers] = {
                "lowering_seconds": step.lowering_seconds,
                "compile_seconds": step.compile_seconds,
                "temporary_bytes": step.executable.memory_analysis().temp_size_in_bytes,
            }
        for number in range(1 + given.rounds):
            for choice in CHOICES:
                began = time.perf_counter()
                states[choice], _ = steps[choice](states[choice], batch)
                jax.block_until_ready(states[choice].params)
                # The first update of each warms caches up.
                seconds[choice] += [time.perf_counter() - began] if number else []
    rows_out = [
        {
            "remat": remat,
            "scan_layers": scan,
            **result,
            "step_seconds": statistics.median(seconds[remat, scan]),
        }
        for (remat, scan), result in results.items()
    ]
    print(
        json.dumps(
            {"device": device.device_kind, "jax": jax.__version__, **vars(given), "choices": rows_out},
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
