"""The product of activations and a matrix: with a gradient that runs fast on CPUs, or frozen."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp


@partial(jax.tree_util.register_dataclass, data_fields=["codes", "scales"], meta_fields=["qtype"])
@dataclass(frozen=True, slots=True)
class Quantized:
    """A matrix in few bits: ``codes`` of its shape, and ``scales`` whose axes divide those of the codes.

    ``qtype`` (nf4 or int8) says what number a code stands for before it is scaled.
    """

    codes: jax.Array
    scales: jax.Array
    qtype: str


# A matrix as it lies in memory.
type Stored = jax.Array | Quantized


@jax.custom_vjp
def matmul(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Multiply x (…, inputs) with kernel (inputs, outputs).

    The gradient of the kernel is one two-dimensional product over all positions at once;
    what autodiff writes for an x of three dimensions takes a slow path on CPUs.
    """
    return x @ kernel


def _forward(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return x @ kernel, (x, kernel)


def _backward(saved: tuple[jax.Array, jax.Array], g: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, kernel = saved
    flat_x = x.reshape(-1, x.shape[-1])
    flat_g = g.reshape(-1, g.shape[-1])
    dx = (flat_g @ kernel.T).reshape(x.shape)
    return dx, jnp.matmul(flat_x.T, flat_g)


matmul.defvjp(_forward, _backward)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def frozen_matmul(dtype: jnp.dtype, stored: Stored, x: jax.Array) -> jax.Array:
    """Multiply x (…, inputs) with a frozen matrix (inputs, outputs), computing in ``dtype``.

    There is a gradient for x alone. The backward pass reads the matrix anew from what is stored, so that
    no copy of it in ``dtype`` waits for it, and x is not kept.
    """
    return x @ restored(stored, dtype)


def _frozen_forward(dtype: jnp.dtype, stored: Stored, x: jax.Array) -> tuple[jax.Array, Stored]:
    return x @ restored(stored, dtype), stored


def _frozen_backward(dtype: jnp.dtype, stored: Stored, g: jax.Array) -> tuple[Any, jax.Array]:
    return None, g @ restored(stored, dtype).T


frozen_matmul.defvjp(_frozen_forward, _frozen_backward)


def restored(stored: Stored, dtype: jnp.dtype) -> jax.Array:
    """Give the matrix in ``dtype``, whichever way it is stored."""
    if isinstance(stored, Quantized):
        # It takes half a second to import, and few runs need it.
        import qwix

        wide: jax.Array = qwix.dequantize(qwix.QArray(stored.codes, stored.scales, qtype=stored.qtype))
        return wide.astype(dtype)
    return stored.astype(dtype)
