"""The estimate of an update's memory beside what XLA says of the compiled one, on a CPU and without weights.

    JAX_PLATFORMS=cpu python -m benchmarks.memory_estimates [--output FILE]

The shape is that of Qwen2.5-0.5B with 4, 8 or all 24 of its layers, in fp32 with dense attention, as a CPU
computes bf16 in fp32. What stays (weights, optimizer state, batch) has to agree to the byte, but
for counters; for the rest the factors of training.memory_estimate were fitted to updates such as these.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast
from unittest import mock

import jax

from training import assembly
from training.config import TrainConfig
from training.data import AnyRows
from training.memory_estimate import estimate
from training.model_config import ModelConfig
from training.planning import Planner
from training.text_form import BYTES

MIB: Final = 2**20
CASES: Final[tuple[tuple[int, int, dict[str, Any]], ...]] = (
    (24, 1024, {"method": "full"}),
    (24, 1024, {"method": "full", "optimizer": "adafactor"}),
    (24, 512, {"method": "lora"}),
    (24, 2048, {"method": "lora"}),
    (24, 1024, {"method": "qlora"}),
    (24, 1024, {"method": "qlora", "quantization": "int8"}),
    (24, 512, {"method": "lora", "remat": "none"}),
    (24, 512, {"method": "lora", "remat": "dots"}),
    (8, 1024, {"method": "full", "scan_layers": False}),
    (8, 1024, {"method": "lora", "scan_layers": False}),
    (4, 512, {"method": "full", "batch_size": 4, "micro_batch": 1}),
)


def shape_of(layers: int) -> ModelConfig:
    """Give Qwen2.5-0.5B's shape with so many layers."""
    return ModelConfig(
        layers=layers,
        width=896,
        heads=14,
        kv_heads=2,
        head_size=64,
        mlp_width=4864,
        vocab_size=151936,
        qkv_bias=True,
        rope_theta=1e6,
    )


def measure(layers: int, length: int, values: dict[str, Any]) -> dict[str, Any]:
    """Compile one update and lay its analysis beside the estimate; sizes in MiB."""
    shape = shape_of(layers)
    common = {"remat": "block", "batch_size": 1, "scan_layers": True}
    config = TrainConfig(
        model="shape@" + "0" * 12,
        sequence_length=length,
        precision="fp32",
        attention="dense",
        **{**common, **values},
    )
    rows = cast("AnyRows", SimpleNamespace(width=length, reach=length, max_segments=4))
    began = time.perf_counter()
    with (
        mock.patch.object(assembly, "model_shape", return_value=shape),
        mock.patch.object(assembly, "text_form", return_value=BYTES),
    ):
        plan = Planner(config, rows, jax.devices("cpu")[0]).plan_of(config)
    seconds = time.perf_counter() - began
    about = estimate(shape, config, gpu=False, attention="dense")
    stays = plan.parameters + plan.frozen + plan.optimizer + plan.average + plan.batch
    return {
        "layers": layers,
        "length": length,
        **values,
        "stays": round(stays / MIB, 1),
        "stays_estimated": round(about.stays / MIB, 1),
        "temporaries": round(plan.temporaries / MIB, 1),
        "temporaries_estimated": round(about.temporaries / MIB, 1),
        "moment": about.moment,
        "off": round(about.temporaries / plan.temporaries - 1, 3),
        "whole_off": round(about.total / plan.peak - 1, 3),
        "compile_seconds": round(seconds, 1),
    }


def main() -> None:
    """Measure all cases and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path)
    output = parser.parse_args().output
    cases = []
    for case in CASES:
        cases.append(measure(*case))
        sys.stderr.write(f"{cases[-1]}\n")
    text = json.dumps({"shape": "Qwen2.5-0.5B", "jax": jax.__version__, "cases": cases}, indent=1)
    if output:
        output.write_text(text + "\n")
    else:
        sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
