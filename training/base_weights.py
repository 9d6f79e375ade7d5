"""The weights of a base model, from its files to the device, one tensor after the other."""

from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from training.adapters import quantize
from training.hf.names import Tensor
from training.hf.reading import stream
from training.leaves import named_leaves
from training.model_config import ModelConfig


def read_params(folder: Path, shape: ModelConfig, described: Any, *, device: jax.Device, qtype: str) -> Any:
    """Fill a description of parameters with what a base model's files hold; returns the same tree of arrays.

    A matrix that is described as codes and scales is put into ``qtype`` on the device. Layers that a scan
    holds side by side are written into place one by one. The host holds about one tensor at a time.

    Raises:
        ConfigError: when files are missing, damaged, or hold other tensors than the shape asks for.
    """
    wanted = named_leaves(described)
    found: dict[str, Any] = {}
    for tensor, raw in stream(folder, shape):
        for name, leaf in _placed(tensor, raw, wanted, device, qtype).items():
            stacked = name if name in wanted else _without_layer(name)
            if stacked == name:
                found[name] = leaf
                continue
            if stacked not in found:
                whole = wanted[stacked]
                found[stacked] = jnp.zeros(whole.shape, whole.dtype, device=device)
            found[stacked] = _write(found[stacked], leaf, tensor.layer)
    return jax.tree.unflatten(jax.tree.structure(described), [found[name] for name in wanted])


def _placed(
    tensor: Tensor, raw: np.ndarray[Any, Any], wanted: dict[str, Any], device: jax.Device, qtype: str
) -> dict[str, jax.Array]:
    """Put one tensor on the device under our name or names, in the type that is wanted there."""
    on_device = jax.device_put(raw, device)
    codes = tensor.ours.removesuffix("kernel") + "codes"
    if codes in wanted or _without_layer(codes) in wanted:
        stored = _quantized(on_device, tensor.transposed, qtype)
        return {codes: stored.codes, tensor.ours.removesuffix("kernel") + "scales": stored.scales}
    target = wanted[tensor.ours if tensor.ours in wanted else _without_layer(tensor.ours)]
    return {tensor.ours: _converted(on_device, tensor.transposed, target.dtype)}


@partial(jax.jit, static_argnums=(1, 2))
def _converted(raw: jax.Array, transposed: bool, dtype: Any) -> jax.Array:
    return (raw.T if transposed else raw).astype(dtype)


@partial(jax.jit, static_argnums=(1, 2))
def _quantized(raw: jax.Array, transposed: bool, qtype: str) -> Any:
    return quantize(raw.T if transposed else raw, qtype)


@partial(jax.jit, donate_argnums=0)
def _write(whole: jax.Array, one: jax.Array, layer: jax.Array) -> jax.Array:
    return whole.at[layer].set(one)


def _without_layer(name: str) -> str:
    """Give the name that a parameter has where a scan holds all layers side by side."""
    head, _, rest = name.partition(".")
    return f"{head}.{rest.partition('.')[2]}" if head == "blocks" else name
