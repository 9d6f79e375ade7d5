"""What JAX said of its devices, as an earlier command on this machine left it."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from runs.devices import gpus

ANSWER = {
    "jax_version": "0.12",
    "backends": {"cpu": [{"id": 0, "kind": "cpu"}]},
    "errors": {"gpu": "no driver"},
}


def keep_answer(directory: Path, answer: dict[str, Any], *, age: float = 0.0) -> Path:
    """Write the probe's cache as an earlier command on this machine would have left it."""
    key = [sys.executable, os.environ.get("CUDA_VISIBLE_DEVICES"), os.environ.get("JAX_PLATFORMS")]
    path = directory / "cache" / "devices.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    seen = sorted(card.uuid for card in gpus())
    path.write_text(json.dumps({"key": [*key, seen], "at": time.time() - age, "answer": answer}))
    return path
