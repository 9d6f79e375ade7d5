"""From a recipe and a device to a model, an optimizer and the first state of training."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from training import averaging
from training.adapters import attach, draw, has_adapters
from training.attention_choice import AttentionChoice, choose_attention
from training.base_weights import read_params
from training.bases import find_base, is_base, model_shape
from training.config import TrainConfig
from training.data import AnyRows
from training.errors import ConfigError
from training.model import Transformer
from training.model_config import ModelConfig
from training.optim import learning_rate_schedule, make_optimizer
from training.text_form import TextForm, text_form

type Params = nnx.State[Any, Any]


class TrainState(NamedTuple):
    """Everything that decides the future of a run.

    ``frozen`` are the weights that a method leaves as they are (None without such); they never change and
    no checkpoint holds them. ``average`` is the moving average of the parameters (None without
    ``ema_decay``); ``step`` counts the updates, also those whose numbers were not finite and that changed
    nothing: ``skipped`` of them in all, ``skipped_in_row`` of them last.
    """

    params: Params
    optimizer: Any
    average: Any
    rng: jax.Array
    step: jax.Array
    skipped: jax.Array
    skipped_in_row: jax.Array
    frozen: Any = None

    @property
    def saved(self) -> "TrainState":
        """What a checkpoint holds: all but what stands in the base model's own files."""
        return self._replace(frozen=None)


@dataclass(frozen=True, slots=True)
class Assembly:
    """The fixed parts of one training process; none of them changes while it runs."""

    config: TrainConfig
    shape: ModelConfig
    form: TextForm
    device: jax.Device
    dtype: jnp.dtype
    attention: AttentionChoice
    graph: nnx.GraphDef[Transformer]
    optimizer: optax.GradientTransformationExtraArgs
    schedule: optax.Schedule

    def model(self, params: Params) -> Transformer:
        """Join the model's structure with all its parameters."""
        return nnx.merge(self.graph, params)

    def weights(self, state: TrainState) -> Params:
        """Give what is evaluated: the moving average of the parameters, or these, and what is frozen."""
        trained = state.params if state.average is None else averaging.read(state.average)
        return join(trained, state.frozen)


def join(trained: Params, frozen: Params | None) -> Params:
    """Put what is trained and what is frozen together to all parameters of the model."""
    if frozen is None:
        return trained
    joined: Params = nnx.merge_state(trained, frozen)
    return joined


def part(params: Params, config: TrainConfig) -> tuple[Params, Params | None]:
    """Take all parameters apart into what the recipe trains and what it leaves frozen (None: nothing)."""
    if not has_adapters(config):
        return params, None
    trained, frozen = nnx.split_state(params, nnx.LoRAParam, ...)
    return trained, frozen


def shares_frozen(one: Assembly, other: Assembly) -> bool:
    """Tell whether what two recipes leave frozen is the same, so that one copy on the device serves both."""

    def kept(assembly: Assembly) -> tuple[Any, ...]:
        config = assembly.config
        few_bits = config.quantization if config.method == "qlora" else ""
        return config.model, few_bits, config.scan_layers, assembly.dtype, assembly.device

    return has_adapters(one.config) and has_adapters(other.config) and kept(one) == kept(other)


def assemble(config: TrainConfig, device: jax.Device, *, rows: AnyRows | None = None) -> Assembly:
    """Choose precision and attention for the device and describe the model.

    ``rows`` are those that will be trained on; without them, for evaluation and generation,
    attention need not keep traces of one row apart.

    Raises:
        ConfigError: for an unknown preset or base model, one whose tokenizer has ids that its table lacks,
            or an attention that cannot run here.
    """
    shape, form = model_shape(config.model), text_form(config)
    if shape.vocab_size < form.vocab_size:
        raise ConfigError(
            f"model {config.model} has {shape.vocab_size} rows for tokens, fewer than the {form.vocab_size} "
            "ids of its tokenizer, so some text could not be read. The files do not belong together."
        )
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
        form=form,
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
    """Make the state before the first update, on the device.

    Parameters are drawn from the seed or read from the base model, adapters are drawn beside it.

    Raises:
        ConfigError: when the base model's files are not what they were.
    """
    key = jax.device_put(jax.random.key(assembly.config.seed), assembly.device)
    given = load_base(assembly) if is_base(assembly.config.model) else None
    # What was read becomes part of the state, so its memory may be given away.
    state: TrainState = jax.jit(_state_maker(assembly), donate_argnums=1)(key, given)
    return state


def abstract_state(assembly: Assembly) -> TrainState:
    """Describe the state (shapes and types) without computing it."""
    given = described_base(assembly) if is_base(assembly.config.model) else None
    described: TrainState = jax.eval_shape(_state_maker(assembly), jax.random.key(0), given)
    return described


def described_params(assembly: Assembly) -> Params:
    """Describe all parameters as the device will hold them: matrices that are frozen in the compute type."""
    make = _model_maker(assembly.config, assembly.shape, assembly.dtype, assembly.attention)
    params: Params = nnx.split(nnx.eval_shape(make, jax.random.key(0)))[1]
    trained, frozen = part(params, assembly.config)
    if frozen is None:
        return params

    def kept(path: Any, leaf: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
        # Norms and biases are small, and products of matrices alone run in the compute type.
        name = jax.tree_util.keystr(path, simple=True, separator=".").removesuffix(".value")
        narrow = name.rpartition(".")[2] in {"kernel", "embedding"}
        # JAX leaves the constructor untyped.
        dtype = assembly.dtype if narrow else leaf.dtype
        return jax.ShapeDtypeStruct(leaf.shape, dtype)  # type: ignore[no-untyped-call]

    return join(trained, jax.tree_util.tree_map_with_path(kept, frozen))


def load_base(assembly: Assembly) -> Params:
    """Read from the base model what the recipe takes from there: all parameters, or the frozen ones.

    Raises:
        ConfigError: when its files are not what they were.
    """
    params: Params = read_params(
        find_base(assembly.config.model).folder,
        assembly.shape,
        described_base(assembly),
        device=assembly.device,
        qtype=assembly.config.quantization,
    )
    return params


def described_base(assembly: Assembly) -> Params:
    """Describe what `load_base` reads."""
    trained, frozen = part(described_params(assembly), assembly.config)
    return trained if frozen is None else frozen


def _state_maker(assembly: Assembly) -> Callable[[jax.Array, Params | None], TrainState]:
    config = assembly.config
    make_model = _model_maker(config, assembly.shape, assembly.dtype, assembly.attention)

    def make(key: jax.Array, given: Params | None) -> TrainState:
        frozen = None
        if given is None:
            params = nnx.split(make_model(key))[1]
        elif has_adapters(config):
            params, frozen = draw(part(described_params(assembly), config)[0], key), given
        else:
            params = given
        return TrainState(
            params=params,
            optimizer=assembly.optimizer.init(params),
            average=averaging.init(params) if assembly.config.ema_decay else None,
            rng=jax.random.key_data(jax.random.fold_in(key, 1)),
            step=jnp.zeros((), jnp.int32),
            skipped=jnp.zeros((), jnp.int32),
            skipped_in_row=jnp.zeros((), jnp.int32),
            frozen=frozen,
        )

    return make


def _model_maker(
    config: TrainConfig, shape: ModelConfig, dtype: jnp.dtype, attention: AttentionChoice
) -> Callable[[jax.Array], Transformer]:
    def make(key: jax.Array) -> Transformer:
        model = Transformer(
            shape,
            dtype=dtype,
            implementation=attention.name,
            rngs=nnx.Rngs(key),
            remat=config.remat,
            scan_layers=config.scan_layers,
            dropout=config.dropout,
        )
        if has_adapters(config):
            attach(model, config)
        return model

    return make
