"""How much host memory loading a checkpoint takes: peak RSS above the start, against the checkpoint's size.

    python -m benchmarks.loading_memory                  # 1 GB, bf16, sharded
    python -m benchmarks.loading_memory --megabytes 4000 --shards 8

It writes a random llama checkpoint to a temporary folder and loads it twice, each time in a process of its
own: as arrays that the receiver keeps (`training.hf.reading.stream`), and as bf16 parameters on JAX's CPU
device (`training.base_weights.read_params`), where device memory is host memory too. The result goes to
benchmarks/results/loading_memory.json.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from training.hf.families import model_config_from_hf
from training.hf.names import tensors_of
from training.hf.reading import numpy_type, stream
from training.hf.scratch import llama_config
from training.hf.writing import Stored, write_weights
from training.model_config import ModelConfig

ROOT = Path(__file__).resolve().parents[1]
BOUND = 1.2
WAYS = ("host", "device")
RESULT = ROOT / "benchmarks" / "results" / "loading_memory.json"


def shape_for(megabytes: float) -> ModelConfig:
    """Choose a llama shape whose bf16 weights take about so much, a quarter of them in the table."""
    width = 1024 if megabytes >= 256 else 256
    layer = width * width * 15
    wanted = megabytes * 1e6 / 2
    layers = max(2, round(0.75 * wanted / layer))
    return ModelConfig(
        layers=layers,
        width=width,
        heads=width // 64,
        kv_heads=width // 128,
        head_size=64,
        mlp_width=4 * width,
        vocab_size=max(512, int((wanted - layers * layer) / width)),
    )


def write_checkpoint(folder: Path, megabytes: float, shards: int) -> int:
    """Write random bf16 weights in about so many shards. Returns their bytes."""
    shape = shape_for(megabytes)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(llama_config(shape, context_length=2048)))
    tensors = [Stored(tensor.theirs, "BF16", tensor.shape) for tensor in tensors_of(shape)]
    size = sum(one.size for one in tensors)
    draw = np.random.default_rng(0)

    def fetch(one: Stored) -> np.ndarray:
        raw = draw.integers(0, 2**16, one.shape, np.uint16)
        # Without the highest bit of the exponent there is neither infinity nor NaN.
        return (raw & 0xBFFF).view(numpy_type("BF16"))

    write_weights(folder, tensors, fetch, max_shard_bytes=-(-size // shards))
    return size


def load(folder: Path, how: str) -> dict[str, Any]:
    """Load in this process, and tell by how much its memory grew at most."""
    shape = model_config_from_hf(json.loads((folder / "config.json").read_bytes()))
    if how == "device":
        keep = on_device(folder, shape)
    else:

        def keep() -> Any:
            return [array for _, array in stream(folder, shape)]

    reset_peak()
    before, began = memory("VmRSS"), time.perf_counter()
    kept = keep()
    seconds = time.perf_counter() - began
    peak, after = memory("VmHWM") - before, memory("VmRSS") - before
    return {"peak": peak, "after": after, "seconds": round(seconds, 2), "arrays": len(kept)}


def on_device(folder: Path, shape: ModelConfig) -> Any:
    """Prepare loading to JAX's CPU device; what JAX itself takes is there before."""
    import jax
    import jax.numpy as jnp
    from flax import nnx

    from training.base_weights import read_params
    from training.leaves import named_leaves
    from training.model import Transformer

    def make() -> Transformer:
        return Transformer(shape, dtype=jnp.dtype("bfloat16"), implementation="dense", rngs=nnx.Rngs(0))

    described = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, jnp.bfloat16), nnx.split(nnx.eval_shape(make))[1]
    )
    device = jax.devices("cpu")[0]
    jnp.zeros(8).block_until_ready()

    def keep() -> Any:
        params = read_params(folder, shape, described, device=device, qtype="")
        return jax.block_until_ready(named_leaves(params))

    return keep


def reset_peak() -> None:
    """Let the highest memory use be counted from now on (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")


def memory(what: str) -> int:
    """Read a figure of this process's memory, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(what))


def measure(folder: Path, how: str) -> dict[str, Any]:
    """Load in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.loading_memory", "--load", str(folder), "--ways", how],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> int:
    """Measure, print and keep the result; 1 where the bound is broken."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--megabytes", type=float, default=1000)
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--output", type=Path, default=RESULT)
    parser.add_argument("--load", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.load:
        print(json.dumps(load(options.load, options.ways[0])))
        return 0
    facts = {"bound": BOUND, "machine": platform.platform(), "python": platform.python_version()}
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "model"
        size = write_checkpoint(folder, options.megabytes, options.shards)
        files = len(list(folder.glob("*.safetensors")))
        largest = max(tensor.size * 2 for tensor in tensors_of(shape_for(options.megabytes)))
        found = {how: measure(folder, how) for how in options.ways}
    for how, got in found.items():
        got["peak_over_size"] = round(got["peak"] / size, 3)
        print(
            f"{how}: {size / 1e6:,.0f} MB in {files} shards, peak {got['peak'] / 1e6:,.0f} MB, "
            f"{got['peak_over_size']} of the size (bound {BOUND}), in {got['seconds']} s"
        )
    told = facts | {"bytes": size, "shards": files, "largest_tensor_bytes": largest, **found}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(told, indent=1) + "\n")
    return int(any(got["peak_over_size"] > BOUND for got in found.values()))


if __name__ == "__main__":
    sys.exit(main())
