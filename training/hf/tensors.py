"""Our parameters from tensors by their Hugging Face names, and back, as whole dictionaries on the host."""

from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from training.errors import ConfigError
from training.hf.names import tensors_of
from training.leaves import named_leaves
from training.model import Transformer
from training.model_config import ModelConfig


def params_from_hf(tensors: Mapping[str, np.ndarray], shape: ModelConfig) -> nnx.State[Any, Any]:
    """Turn tensors into fp32 parameters of an unscanned `Transformer`, still on the host.

    Every tensor is accounted for. Two may be there without being used: the output matrix of a
    tied model when it equals the embedding, and stored rotary frequencies, which follow from the shape.

    Raises:
        ConfigError: naming tensors that are missing, that nothing uses, or whose shape is another.
    """
    wanted = {tensor.theirs: tensor for tensor in tensors_of(shape)}
    spare = {name for name in tensors if _is_spare(name, tensors, shape)}
    problems = _list("missing", wanted.keys() - tensors.keys())
    problems += _list("unexpected", tensors.keys() - wanted.keys() - spare)
    for theirs, tensor in wanted.items():
        if theirs in tensors and tensors[theirs].shape != tensor.shape:
            problems.append(f"{theirs} has shape {tensors[theirs].shape}, the config asks for {tensor.shape}")
    if problems:
        raise ConfigError(f"The tensors do not fit the config: {'; '.join(problems[:10])}.")
    arrays = {}
    for theirs, tensor in wanted.items():
        array = np.asarray(tensors[theirs], dtype=np.float32)
        arrays[tensor.ours] = np.ascontiguousarray(array.T) if tensor.transposed else array
    described = _described(shape)
    ordered = [arrays[ours] for ours in named_leaves(described)]
    params: nnx.State[Any, Any] = jax.tree.unflatten(jax.tree.structure(described), ordered)
    return params


def params_to_hf(params: nnx.State[Any, Any], shape: ModelConfig) -> dict[str, np.ndarray]:
    """Turn parameters of an unscanned `Transformer` into tensors by their Hugging Face names, in fp32."""
    leaves = named_leaves(params)
    found = {}
    for tensor in tensors_of(shape):
        array = np.asarray(leaves[tensor.ours], dtype=np.float32)
        found[tensor.theirs] = np.ascontiguousarray(array.T) if tensor.transposed else array
    return found


def _described(shape: ModelConfig) -> Any:
    """Describe the parameters of an unscanned model."""

    def make() -> Transformer:
        return Transformer(
            shape,
            dtype=jnp.dtype(jnp.float32),
            implementation="dense",
            rngs=nnx.Rngs(params=jax.random.key(0)),
        )

    return nnx.split(nnx.eval_shape(make))[1]


def _is_spare(name: str, tensors: Mapping[str, np.ndarray], shape: ModelConfig) -> bool:
    if name.endswith(".rotary_emb.inv_freq"):
        return True
    if not shape.tied or name != "lm_head.weight" or "model.embed_tokens.weight" not in tensors:
        return False
    return np.array_equal(tensors[name], tensors["model.embed_tokens.weight"])


def _list(what: str, names: Iterable[str]) -> list[str]:
    ordered = sorted(names)
    more = f" and {len(ordered) - 5} more" if len(ordered) > 5 else ""
    return [f"{what}: {', '.join(ordered[:5])}{more}"] if ordered else []
