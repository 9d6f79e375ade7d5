"""Checkpoints of models that nobody trained, for tests. Needs JAX."""

from pathlib import Path
from typing import Any

import jax
import numpy as np

from training import checkpoint_store
from training.assembly import abstract_state, assemble
from training.config import make_config
from training.leaves import named_leaves


def write_checkpoint(root: Path, *, step: int = 10, **config: Any) -> tuple[Path, dict[str, Any]]:
    """Write a real checkpoint of drawn numbers. Returns its folder and its parameters by our names."""
    assembly = assemble(make_config({"model": "nano", "steps": 10, **config}), jax.devices("cpu")[0])
    draw = np.random.default_rng(0)
    state = jax.tree.map(
        lambda leaf: np.asarray(draw.normal(size=leaf.shape)).astype(leaf.dtype), abstract_state(assembly)
    )
    facts = checkpoint_store.describe(assembly, step=step, loss=1.0)
    root.mkdir(parents=True, exist_ok=True)
    checkpoint_store.write(root, state, step=step, facts=facts)
    return root / str(step), named_leaves(assembly.weights(state))
