"""An update whose loss or gradient is not finite changes nothing but the counters.

The decision is taken on the device, so that no update waits for the host to look.
"""

from typing import Any

import jax
import jax.numpy as jnp


def all_finite(*values: jax.Array) -> jax.Array:
    """Tell, as a boolean scalar, whether no value holds a NaN or an infinity.

    The objective and the global norm of the gradient are enough: one bad entry in any
    gradient makes the norm bad.
    """
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(value)) for value in values]))


def select[Tree: Any](sound: jax.Array, new: Tree, old: Tree) -> Tree:
    """Return ``new`` where ``sound``, else ``old`` with its very bits; both are alike in structure."""
    chosen: Tree = jax.tree.map(lambda after, before: jnp.where(sound, after, before), new, old)
    return chosen


def count(sound: jax.Array, skipped: jax.Array, in_row: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return (skipped in all, skipped in a row) after one more update."""
    missed = jnp.where(sound, 0, 1).astype(skipped.dtype)
    return skipped + missed, (in_row + missed.astype(in_row.dtype)) * missed.astype(in_row.dtype)
