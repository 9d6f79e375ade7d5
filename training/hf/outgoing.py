"""Our parameters, one at a time, as tensors of the Hugging Face form. Imports no JAX.

Parameters come as a mapping of dotted names to arrays, of a model with or without stacked layers. An
adapter is two matrices beside a kernel, ``…lora_a`` (inputs, rank) and ``…lora_b`` (rank, outputs).
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from training.errors import ExportError
from training.hf.names import Tensor
from training.hf.reading import numpy_type
from training.hf.writing import Stored

BESIDE: Final = ("lora_a", "lora_b")


def leaf(leaves: Mapping[str, Any], name: str) -> np.ndarray | None:
    """Find a parameter, also where all layers are stacked along a leading axis; None where there is none."""
    if name in leaves:
        return np.asarray(leaves[name])
    first, _, rest = name.partition(".")
    layer, _, rest = rest.partition(".")
    if first == "blocks" and f"blocks.{rest}" in leaves:
        return np.asarray(leaves[f"blocks.{rest}"][int(layer)])
    return None


def adapter_of(leaves: Mapping[str, Any], tensor: Tensor) -> tuple[np.ndarray, np.ndarray] | None:
    """Find the adapter beside a kernel, as fp32; None where it has none."""
    stem = tensor.ours.removesuffix(".kernel")
    if stem == tensor.ours:
        return None
    found = [leaf(leaves, f"{stem}.{name}") for name in BESIDE]
    if found[0] is None or found[1] is None:
        return None
    return found[0].astype(np.float32), found[1].astype(np.float32)


def outgoing(
    leaves: Mapping[str, Any],
    wanted: Mapping[str, Tensor],
    *,
    scale: float = 1.0,
    frozen: Callable[[Stored], np.ndarray] | None = None,
) -> Callable[[Stored], np.ndarray]:
    """Return what gives each tensor in its stored type and the layout of the files.

    An adapter is merged: kernel + a @ b * ``scale``, summed in fp32 and rounded once. With ``frozen``,
    all but the adapters comes from there, in their layout.

    Raises (the function that is returned):
        ExportError: for a parameter that is not there or has another shape, and for a number that its
            stored type cannot hold.
    """

    def fetch(one: Stored) -> np.ndarray:
        tensor = wanted[one.name]
        adapter = adapter_of(leaves, tensor)
        kernel = _turned(leaves, tensor) if frozen is None else frozen(one)
        if adapter is not None:
            # Theirs is (outputs, inputs): the transpose of a @ b.
            kernel = kernel.astype(np.float32) + (adapter[1].T @ adapter[0].T) * np.float32(scale)
        return rounded(kernel, one)

    return fetch


def _turned(leaves: Mapping[str, Any], tensor: Tensor) -> np.ndarray:
    found = leaf(leaves, tensor.ours)
    if found is None:
        raise ExportError(f"The checkpoint has no parameter {tensor.ours}, which {tensor.theirs} would be.")
    array = found.T if tensor.transposed else found
    if array.shape != tensor.shape:
        raise ExportError(
            f"{tensor.ours} has shape {found.shape}; {tensor.theirs} of this model has {tensor.shape}."
        )
    return array


def rounded(array: np.ndarray, one: Stored) -> np.ndarray:
    """Give an array in a stored type, each number the nearest that it holds.

    Raises:
        ExportError: for a number that is finite and becomes infinite.
    """
    wanted = numpy_type(one.dtype)
    if array.dtype == wanted:
        return array
    with np.errstate(over="ignore"):
        result = array.astype(wanted)
    if one.dtype == "F16" and np.isinf(result).any() and not np.isinf(array).any():
        raise ExportError(f"{one.name} has numbers that F16 cannot hold; export it as F32 or BF16.")
    return result
