"""From a recipe and a device to a model, an optimizer and the first state of training."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from training.attention_choice import AttentionChoice, choose_attention
from training.config import TrainConfig
from training.model import Transformer
from training.model_config import ModelConfig, preset
from training.optim import learning_rate_schedule, make_optimizer
from training.tokenizer import TOKENIZER

type Params = nnx.State[Any, Any]


class TrainState(NamedTuple):
    """Everything that decides the future of a run: parameters, optimizer, key and updates done."""

    params: Params
    optimizer: Any
    rng: jax.Array
    step: jax.Array


@dataclass(frozen=True, slots=True)
class Assembly:
    """The fixed parts of one training process; none of them changes while it runs."""

    config: TrainConfig
    shape: ModelConfig
    device: jax.Device
    dtype: jnp.dtype
    attention: AttentionChoice
    graph: nnx.GraphDef[Transformer]
    optimizer: optax.GradientTransformation
    schedule: optax.Schedule

    def model(self, params: Params) -> Transformer:
        """Join the model's structure with parameters."""
        return nnx.merge(self.graph, params)


def assemble(config: TrainConfig, device: jax.Device) -> Assembly:
    """Choose precision and attention for the device and describe the model.

    Raises:
        ConfigError: for an unknown preset, or an attention that cannot run here.
    """
    shape = preset(config.model)
    if shape.vocab_size < TOKENIZER.vocab_size:
        raise ValueError(f"preset {config.model} has fewer rows than the tokenizer has ids")
    dtype = compute_dtype(config, device)
    attention = choose_attention(
        wanted=config.attention,
        device=device,
        dtype=dtype,
        shape=shape,
        packed=False,
        batch=config.batch_size,
        length=config.sequence_length,
    )
    model = nnx.eval_shape(_model_maker(shape, dtype, attention), jax.random.key(0))
    return Assembly(
        config=config,
        shape=shape,
        device=device,
        dtype=dtype,
        attention=attention,
        graph=nnx.split(model)[0],
        optimizer=make_optimizer(config),
        schedule=learning_rate_schedule(config),
    )


def compute_dtype(config: TrainConfig, device: jax.Device) -> jnp.dtype:
    """Resolve ``precision``: bf16 on a GPU and fp32 on a CPU where it is left to us."""
    if config.precision == "auto":
        return jnp.dtype(jnp.bfloat16 if device.platform == "gpu" else jnp.float32)
    return jnp.dtype(jnp.bfloat16 if config.precision == "bf16" else jnp.float32)


def first_state(assembly: Assembly) -> TrainState:
    """Draw the parameters from the seed and make a fresh optimizer state, on the device."""
    key = jax.device_put(jax.random.key(assembly.config.seed), assembly.device)
    state: TrainState = jax.jit(_state_maker(assembly))(key)
    return state


def abstract_state(assembly: Assembly) -> TrainState:
    """Describe the state (shapes and types) without computing it."""
    described: TrainState = jax.eval_shape(_state_maker(assembly), jax.random.key(0))
    return described


def named_leaves(tree: Any) -> dict[str, Any]:
    """Flatten a tree of arrays into dotted names, such as ``blocks.0.attention.q.kernel``."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    names = [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in leaves]
    return {name.removesuffix(".value"): leaf for name, (_, leaf) in zip(names, leaves, strict=True)}


def _state_maker(assembly: Assembly) -> Callable[[jax.Array], TrainState]:
    make_model = _model_maker(assembly.shape, assembly.dtype, assembly.attention)

    def make(key: jax.Array) -> TrainState:
        params = nnx.split(make_model(key))[1]
        return TrainState(
            params=params,
            optimizer=assembly.optimizer.init(params),
            rng=jax.random.key_data(jax.random.fold_in(key, 1)),
            step=jnp.zeros((), jnp.int32),
        )

    return make


def _model_maker(
    shape: ModelConfig, dtype: jnp.dtype, attention: AttentionChoice
) -> Callable[[jax.Array], Transformer]:
    def make(key: jax.Array) -> Transformer:
        return Transformer(shape, dtype=dtype, implementation=attention.name, rngs=nnx.Rngs(key))

    return make
