"""Gradients of a large batch, computed part by part."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from training.losses import LossSums


def accumulated_gradients[Batch](
    loss_fn: Callable[[Any, Batch, jax.Array], LossSums], params: Any, batch: Batch, *, micro_batches: int
) -> tuple[LossSums, Any]:
    """Return the sums over the whole batch and the gradient of objective / weight.

    ``batch`` is a tree of arrays with rows on the first axis, a multiple of ``micro_batches``;
    each part keeps the order of its rows. ``loss_fn(params, part, index)`` returns the sums of
    a part; index counts the parts from 0. The parts' gradients are of sums and are divided by
    the weight of all parts at the end, so that a part counts by its supervised tokens and one
    without any does nothing. Sums are fp32. A batch without any weight has a gradient of zero.
    """

    def part_gradients(part: Batch, index: jax.Array) -> tuple[LossSums, Any]:
        def objective(params: Any) -> tuple[jax.Array, LossSums]:
            sums = loss_fn(params, part, index)
            return sums.objective, sums

        (_, sums), gradients = jax.value_and_grad(objective, has_aux=True)(params)
        return sums, gradients

    if micro_batches == 1:
        sums, gradients = part_gradients(batch, jnp.zeros((), jnp.int32))
    else:
        sums, gradients = _over_parts(part_gradients, params, batch, micro_batches)
    share = 1 / jnp.where(sums.weight > 0, sums.weight, 1)
    return sums, jax.tree.map(lambda leaf: leaf * share.astype(leaf.dtype), gradients)


def _over_parts[Batch](
    part_gradients: Callable[[Batch, jax.Array], tuple[LossSums, Any]],
    params: Any,
    batch: Batch,
    micro_batches: int,
) -> tuple[LossSums, Any]:
    def split(rows: jax.Array) -> jax.Array:
        if rows.shape[0] % micro_batches:
            raise ValueError(f"{rows.shape[0]} rows do not split into {micro_batches} equal parts")
        return rows.reshape(micro_batches, rows.shape[0] // micro_batches, *rows.shape[1:])

    def add(
        total: tuple[LossSums, Any], numbered: tuple[Batch, jax.Array]
    ) -> tuple[tuple[LossSums, Any], None]:
        return jax.tree.map(jnp.add, total, part_gradients(*numbered)), None

    zero = jnp.zeros((), jnp.float32)
    begin = (LossSums(zero, zero, zero), jax.tree.map(jnp.zeros_like, params))
    total, _ = jax.lax.scan(add, begin, (jax.tree.map(split, batch), jnp.arange(micro_batches)))
    return total
