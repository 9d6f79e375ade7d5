"""A moving average of the weights, in fp32, which is evaluated in place of the last weights."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Average(NamedTuple):
    """The average, of the parameters' structure in fp32, and the number of updates in it."""

    weights: Any
    updates: jax.Array


def init(params: Any) -> Average:
    """Begin with a copy of the parameters, in memory of its own, for both may be given away."""
    return Average(
        jax.tree.map(lambda leaf: jnp.array(leaf, jnp.float32, copy=True), params), jnp.zeros((), jnp.int32)
    )


def update(average: Average, params: Any, decay: float) -> Average:
    """Take the parameters after one more update into the average.

    The decay warms up as (1 + n) / (10 + n) over the n updates before, until it reaches the
    set one (the rule of TensorFlow's ExponentialMovingAverage with ``num_updates``). So the
    average spans about the last tenth of a short history and soon forgets the random start.
    Dividing by 1 - decay**n would forget the start too, but weighs all of a short history
    alike, and has no value before the first update.
    """
    before = average.updates.astype(jnp.float32)
    kept = jnp.minimum(decay, (1 + before) / (10 + before))
    weights = jax.tree.map(
        lambda old, new: old + (1 - kept) * (new.astype(jnp.float32) - old), average.weights, params
    )
    return Average(weights, average.updates + 1)


def read(average: Average) -> Any:
    """Return the averaged weights, which can stand wherever parameters do."""
    return average.weights
