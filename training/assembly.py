"""From a recipe and a device to a model, an optimizer and the first state of training."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from training import averaging
from training.attention_choice import AttentionChoice, choose_attention
from training.config import TrainConfig
from training.data import AnyRows
from training.model import Transformer
from training.model_config import ModelConfig, preset
from training.optim import learning_rate_schedule, make_optimizer
from training.tokenizer import TOKENIZER

type Params = nnx.State[Any, Any]


class TrainState(NamedTuple):
    """Everything that decides the future of a run.

    ``average`` is the moving average of the parameters (None without ``ema_decay``);
    ``step`` counts the updates, also those whose numbers were not finite and that changed
    nothing: ``skipped`` of them in all, ``skipped_in_row`` of them last.
    """

    params: Params
    optimizer: Any
    average: Any
    rng: jax.Array
    step: jax.Array
    skipped: jax.Array
    skipped_in_row: jax.Array


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

    def weights(self, state: TrainState) -> Params:
        """Give what is evaluated: the moving average where there is one, else the parameters."""
        return state.params if state.average is None else averaging.read(state.average)


def assemble(config: TrainConfig, device: jax.Device, *, rows: AnyRows | None = None) -> Assembly:
    """Choose precision and attention for the device and describe the model.

    ``rows`` are those that will be trained on; without them, for evaluation and generation,
    attention need not keep traces of one row apart.

    Raises:
        ConfigError: for an unknown preset, or an attention that cannot run here.
    """
    shape = preset(config.model)
    if shape.vocab_size < TOKENIZER.vocab_size:
        raise ValueError(f"preset {config.model} has fewer rows than the tokenizer has ids")
    dtype = compute_dtype(config, device)
    attention = choose_attention(
        # Forced on the training rows; what is evaluated has one trace a row.
        wanted="cudnn" if rows is None and config.attention == "cudnn_packed" else config.attention,
        device=device,
        dtype=dtype,
        shape=shape,
        packed=rows is not None and config.packing,
        batch=config.batch_size,
        length=rows.width if rows is not None else config.sequence_length,
        windows=[shape.window_of(layer) for layer in range(shape.layers)],
        soft_cap=shape.attention_soft_cap,
        max_segments=rows.max_segments if rows is not None else None,
    )
    model = nnx.eval_shape(_model_maker(config, shape, dtype, attention), jax.random.key(0))
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
    make_model = _model_maker(assembly.config, assembly.shape, assembly.dtype, assembly.attention)

    def make(key: jax.Array) -> TrainState:
        params = nnx.split(make_model(key))[1]
        return TrainState(
            params=params,
            optimizer=assembly.optimizer.init(params),
            average=averaging.init(params) if assembly.config.ema_decay else None,
            rng=jax.random.key_data(jax.random.fold_in(key, 1)),
            step=jnp.zeros((), jnp.int32),
            skipped=jnp.zeros((), jnp.int32),
            skipped_in_row=jnp.zeros((), jnp.int32),
        )

    return make


def _model_maker(
    config: TrainConfig, shape: ModelConfig, dtype: jnp.dtype, attention: AttentionChoice
) -> Callable[[jax.Array], Transformer]:
    def make(key: jax.Array) -> Transformer:
        return Transformer(
            shape,
            dtype=dtype,
            implementation=attention.name,
            rngs=nnx.Rngs(key),
            remat=config.remat,
            scan_layers=config.scan_layers,
            dropout=config.dropout,
        )

    return make
