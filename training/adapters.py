"""Adapters of low rank beside frozen weights, which may be kept in few bits.

LoRA is Hu et al., arXiv 2106.09685; nf4 in blocks of 64 is Dettmers et al., arXiv 2305.14314. The numbers
of nf4 and int8 are made and read by the library qwix. The adapters are written here: beside the matrix that
they change, under names of their own, so that the map of names, checkpoints, layers in a scan and the export
in PEFT's form see them as they see any other parameter.
"""

import math
from collections.abc import Iterator
from typing import Any, Final

import jax
import jax.numpy as jnp
from flax import nnx

from training.config import TrainConfig
from training.errors import ConfigError
from training.layers import Linear
from training.linear import Quantized, restored
from training.model import Transformer
from training.targeting import ALL, is_target

# Numbers along the inputs that share one scale under nf4.
BLOCK: Final = 64
# Our projections by the names that Hugging Face gives them, in which targets are searched.
PROJECTIONS: Final = {
    "attention.q": "self_attn.q_proj",
    "attention.k": "self_attn.k_proj",
    "attention.v": "self_attn.v_proj",
    "attention.out": "self_attn.o_proj",
    "mlp.gate": "mlp.gate_proj",
    "mlp.up": "mlp.up_proj",
    "mlp.out": "mlp.down_proj",
}
ADAPTER_LEAVES: Final = ("lora_a", "lora_b")


def has_adapters(config: TrainConfig) -> bool:
    """Tell whether a recipe trains adapters and leaves the weights of its base as they are."""
    return config.method != "full"


def attach(model: Transformer, config: TrainConfig) -> None:
    """Freeze a model's matrices, keep those of the blocks in few bits where asked, and add the adapters.

    Only shapes and types are right afterwards: what comes from the base and what is drawn is filled in later.

    Raises:
        ConfigError: when no projection is a target, or a scan over the layers meets targets that differ.
    """
    layers = list(model.blocks) if not model.scan_layers else [model.blocks]
    chosen = targets(config, model.shape.layers)
    for number, block in enumerate(layers):
        for ours in PROJECTIONS:
            linear = _linear(block, ours)
            linear.frozen = True
            if f"{number}.{ours}" in chosen:
                _add_adapter(linear, config)
            if config.method == "qlora":
                _quantize(linear, config.quantization)
    if model.scan_layers and any(
        len({f"{layer}.{ours}" in chosen for layer in range(model.shape.layers)}) > 1 for ours in PROJECTIONS
    ):
        raise ConfigError(
            f"lora_targets={config.lora_targets!r} names projections of some layers only, and scan_layers "
            "runs all layers as one. Set scan_layers=false, or name them in every layer."
        )
    if model.output is not None:
        model.output.frozen = True


def targets(config: TrainConfig, layers: int) -> frozenset[str]:
    """Return the projections that get adapters, as ``0.attention.q``.

    Raises:
        ConfigError: when there is none, naming what could be.
    """
    found = frozenset(
        f"{layer}.{ours}"
        for layer in range(layers)
        for ours, theirs in PROJECTIONS.items()
        if is_target(config.lora_targets, f"layers.{layer}.{theirs}")
    )
    if not found:
        raise ConfigError(
            f"lora_targets={config.lora_targets!r} fits no projection. Names are, for each layer, "
            f"{', '.join(f'layers.0.{theirs}' for theirs in PROJECTIONS.values())}; {ALL} takes all."
        )
    return found


def target_modules(config: TrainConfig, layers: int) -> list[str]:
    """Return the names that Hugging Face gives the targets, such as ``model.layers.0.self_attn.q_proj``."""
    names = []
    for target in targets(config, layers):
        layer, _, ours = target.partition(".")
        names.append(f"model.layers.{layer}.{PROJECTIONS[ours]}")
    return sorted(names)


def draw(described: nnx.State[Any, Any], key: jax.Array) -> nnx.State[Any, Any]:
    """Draw the adapters that are described: A uniform as a fresh linear layer, B zero, so they add nothing.

    A's bound is the square root of 1 / inputs, as PEFT draws it. What is drawn for a projection of a layer
    depends on the key and its place alone, not on how layers are held.
    """

    def one(path: Any, leaf: jax.ShapeDtypeStruct) -> jax.Array:
        _, *place = jax.tree_util.keystr(path, simple=True, separator=".").removesuffix(".value").split(".")
        if place[-1] == "lora_b":
            return jnp.zeros(leaf.shape, leaf.dtype)
        layers = range(leaf.shape[0]) if leaf.ndim == 3 else [int(place.pop(0))]
        own = jax.random.fold_in(key, list(PROJECTIONS).index(".".join(place[:2])))
        bound = leaf.shape[-2] ** -0.5
        drawn = [
            jax.random.uniform(jax.random.fold_in(own, layer), leaf.shape[-2:], leaf.dtype, -bound, bound)
            for layer in layers
        ]
        return jnp.stack(drawn) if leaf.ndim == 3 else drawn[0]

    state: nnx.State[Any, Any] = jax.tree_util.tree_map_with_path(one, described)
    return state


def quantize(matrix: jax.Array, qtype: str) -> Quantized:
    """Put a matrix (inputs, outputs) into few bits.

    nf4 has a scale for each 64 inputs of an output, int8 one for each output.
    """
    import qwix

    inputs = matrix.shape[-2]
    found = qwix.quantize(
        matrix.astype(jnp.float32),
        "nf4" if qtype == "nf4" else jnp.int8,
        channelwise_axes=[axis for axis in range(matrix.ndim) if axis != matrix.ndim - 2],
        tiled_axes={matrix.ndim - 2: block_of(inputs) if qtype == "nf4" else inputs},
    )
    return Quantized(found.qvalue, found.scale, qtype)


def block_of(inputs: int) -> int:
    """Return how many inputs share a scale under nf4: 64, or what divides both where that does not fit."""
    return math.gcd(inputs, BLOCK)


def merge(model: Transformer) -> None:
    """Add every adapter to its matrix, in fp32 and rounded once, and leave a model without any.

    A matrix in few bits is added to as the numbers that its codes stand for, for these were trained with.
    """
    for linear in _projections(model):
        if linear.codes is not None:
            stored = Quantized(linear.codes[...], linear.scales[...], linear.quantization)
            linear.kernel = nnx.Param(restored(stored, jnp.dtype(jnp.float32)))
            linear.codes = linear.scales = nnx.data(None)
            linear.quantization = ""
        if linear.lora_a is not None:
            kernel = linear.kernel[...]
            added = linear.lora_scale * jnp.matmul(
                linear.lora_a[...], linear.lora_b[...], precision=jax.lax.Precision.HIGHEST
            )
            linear.kernel = nnx.Param((kernel.astype(jnp.float32) + added).astype(kernel.dtype))
            linear.lora_a = linear.lora_b = nnx.data(None)


def _projections(model: Transformer) -> Iterator[Linear]:
    for block in [model.blocks] if model.scan_layers else model.blocks:
        for ours in PROJECTIONS:
            yield _linear(block, ours)


def _linear(block: Any, ours: str) -> Linear:
    part, _, name = ours.partition(".")
    found: Linear = getattr(getattr(block, part), name)
    return found


def _add_adapter(linear: Linear, config: TrainConfig) -> None:
    *stack, inputs, outputs = linear.kernel[...].shape
    linear.lora_a = nnx.data(nnx.LoRAParam(jnp.zeros((*stack, inputs, config.lora_rank))))
    linear.lora_b = nnx.data(nnx.LoRAParam(jnp.zeros((*stack, config.lora_rank, outputs))))
    linear.lora_scale = config.lora_alpha / config.lora_rank
    linear.lora_dropout = config.lora_dropout


def _quantize(linear: Linear, qtype: str) -> None:
    stored = quantize(linear.kernel[...], qtype)
    linear.kernel, linear.quantization = nnx.data(None), qtype
    linear.codes = nnx.data(nnx.Param(stored.codes))
    linear.scales = nnx.data(nnx.Param(stored.scales))
