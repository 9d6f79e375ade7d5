"""Our parameters from tensors by their Hugging Face names, and back, as whole dictionaries on the host."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from training.errors import ConfigError
from training.hf.files import HEAD_DIFFERS, compare
from training.hf.names import EMBEDDING, HEAD, tensors_of
from training.leaves import named_leaves
from training.model import Transformer
from training.model_config import ModelConfig


def params_from_hf(tensors: Mapping[str, np.ndarray], shape: ModelConfig) -> nnx.State[Any, Any]:
    """Turn tensors into fp32 parameters of an unscanned `Transformer`, still on the host.

    Raises:
        ConfigError: for tensors that are missing, unexpected or of a wrong shape, and for an output matrix
            of a tied model that is not its embedding.
    """
    problems, spare = compare(
        {name: np.shape(tensor) for name, tensor in tensors.items()}, shape, told_by="The tensors"
    )
    if problems:
        raise ConfigError(problems)
    if HEAD in spare and not np.array_equal(tensors[HEAD], tensors[EMBEDDING]):
        raise ConfigError(HEAD_DIFFERS)
    arrays = {}
    for tensor in tensors_of(shape):
        array = np.asarray(tensors[tensor.theirs], dtype=np.float32)
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
