"""How fast base models of published shapes are fine-tuned, and whether their memory is what was planned.

    python -m benchmarks.base_models_bench --models Qwen3-0.6B Llama-3.2-1B --methods lora full
    python -m benchmarks.base_models_bench --models SmolLM2-135M --steps 3 --length 256 --device cpu

Weights are random, for speed and memory do not ask what they are. Each model is written as a checkpoint in
bf16, imported with `import_model` into a site of its own in a temporary folder, and measured by `bench`, one
method after the other, on the device that is asked for. The result goes to --output as JSON.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from training.hf.families import model_config_from_hf
from training.hf.names import tensors_of
from training.hf.reading import numpy_type
from training.hf.tests.characters import character_files
from training.hf.tests.published import PUBLISHED
from training.hf.writing import Stored, write_weights

ROOT = Path(__file__).resolve().parent.parent


def write_model(folder: Path, name: str) -> None:
    """Write random weights of a published shape, with a small tokenizer."""
    config = PUBLISHED[name][1]
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    for file, text in character_files().items():
        (folder / file).write_text(text)
    tensors = [Stored(one.theirs, "BF16", one.shape) for one in tensors_of(model_config_from_hf(config))]
    draws = np.random.default_rng(0)

    def fetch(one: Stored) -> np.ndarray:
        numbers = draws.standard_normal(one.shape, np.float32)
        return (numbers * 0.02 if len(one.shape) > 1 else 1 + numbers * 0.02).astype(numpy_type("BF16"))

    write_weights(folder, tensors, fetch, max_shard_bytes=1_000_000_000)


def manage(site: Path, *words: str) -> Any:
    """Run a command of the site in that folder. Returns the object that it prints."""
    environment = {
        **os.environ,
        "DATABASE_URL": f"sqlite:///{site / 'db.sqlite3'}",
        "TUNIX_ARTIFACTS_DIR": str(site / "artifacts"),
    }
    done = subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=ROOT,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1]) if "--json" in words else None


def measure(site: Path, name: str, method: str, given: argparse.Namespace) -> dict[str, Any]:
    """Measure one method on one model. Returns the figures that say whether it is well done."""
    fields = {
        "method": method,
        "sequence_length": given.length,
        "batch_size": given.batch,
        "remat": "block",
        "scan_layers": str(not name.startswith("Gemma")).lower(),
    }
    record = manage(
        site,
        "bench",
        "--json",
        "--foreground",
        "--only-steps",
        f"--device={given.device}",
        "--dataset=chain-v1",
        f"--model={name.lower()}",
        f"--steps={given.steps}",
        *(f"--set={field}={value}" for field, value in fields.items()),
    )
    memory = record["memory"]
    return {
        "model": name,
        **fields,
        "device": record["device"],
        "step_s": record["step_time"]["median"],
        "tokens_per_second": record["tokens_per_second"],
        "limits": record["limits"],
        "planned_bytes": memory["peak"],
        "device_peak_bytes": memory["device_peak"],
        "peak_against_plan": memory["device_peak"] / memory["peak"] if memory["device_peak"] else None,
        "compile_s": record["compile_s"],
    }


def main() -> None:
    """Measure all that was asked for and write it down."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--models", nargs="+", default=["Qwen3-0.6B", "Llama-3.2-1B"], choices=PUBLISHED)
    parser.add_argument("--methods", nargs="+", default=["lora", "qlora", "full"])
    parser.add_argument("--device", default="gpu", choices=["cpu", "gpu"])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--length", type=int, default=1024)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as scratch:
        site = Path(scratch)
        manage(site, "migrate", "--no-input", "--verbosity=0")
        manage(site, "seed_dataset", "--dataset=chain-v1", "--count=2000")
        for name in given.models:
            write_model(site / name.lower(), name)
            manage(site, "import_model", str(site / name.lower()))
            for method in given.methods:
                found.append(measure(site, name, method, given))
                sys.stderr.write(f"{json.dumps(found[-1])}\n")
    text = json.dumps(found, indent=1)
    if given.output:
        given.output.write_text(text + "\n")
    else:
        sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
