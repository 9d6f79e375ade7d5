"""The product of activations and a matrix, with a gradient that runs fast on CPUs."""

import jax
import jax.numpy as jnp


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
