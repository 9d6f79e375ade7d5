"""This project's own update, as training compiles it."""

import sys
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.peers import contest
from training.assembly import assemble, first_state
from training.config import make_config
from training.model_config import PRESETS, ModelConfig, parameter_count
from training.step import DeviceBatch, compile_step


@dataclass
class PlainRows:
    """The layout of rows that are one trace each."""

    width: int
    reach: int
    max_segments: int = 1


def main(name: str) -> None:
    """Compete with one shape."""
    jax.config.update("jax_platforms", "cpu")
    shape = contest.SHAPES[name]
    PRESETS["peer"] = ModelConfig(
        layers=shape.layers,
        width=shape.width,
        heads=shape.heads,
        kv_heads=shape.heads,
        head_size=shape.width // shape.heads,
        mlp_width=shape.mlp_width,
        vocab_size=shape.vocabulary,
    )
    config = make_config(
        {
            "model": "peer",
            "packing": False,
            "batch_size": shape.batch,
            "sequence_length": shape.length,
            "schedule": "constant",
            "warmup_steps": 0,
            "learning_rate": contest.RATE,
            "final_learning_rate": contest.RATE,
            "beta1": contest.BETAS[0],
            "beta2": contest.BETAS[1],
            "epsilon": contest.EPSILON,
            "weight_decay": contest.DECAY,
            "clip_norm": contest.CLIP,
            "precision": "fp32",
        }
    )
    device = jax.devices("cpu")[0]
    assembly = assemble(config, device)
    state: Any = first_state(assembly)
    tokens = np.array(contest.token_rows(shape), np.int32)
    inputs, targets = jax.device_put((tokens[:, :-1], tokens[:, 1:]), device)
    batch = DeviceBatch(inputs, targets, jnp.ones(inputs.shape, jnp.float32), None)
    rows: Any = PlainRows(shape.length, shape.length)
    step = compile_step(assembly, rows, state, batch, micro_batch=shape.batch)

    def update() -> float:
        nonlocal state
        state, metrics = step(state, batch)
        jax.block_until_ready(state.params)
        return float(metrics[0] / metrics[1])

    square = jnp.ones((contest.PRODUCT_SIZE, contest.PRODUCT_SIZE), jnp.float32)
    multiply = jax.jit(jnp.matmul).lower(square, square).compile()
    facts = {"parameters": parameter_count(assembly.shape), "jax": jax.__version__, "flax": version("flax")}
    contest.compete(update, lambda: multiply(square, square).block_until_ready(), facts)


if __name__ == "__main__":
    main(sys.argv[1])
