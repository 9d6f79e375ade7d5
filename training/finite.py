"""An update whose loss or gradient is not finite changes nothing but the counters.

The decision is taken within the compiled update, so that the loop never waits for it.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def all_finite(*values: jax.Array) -> jax.Array:
    """Tell, as a boolean scalar, whether no value holds a NaN or an infinity.

    The objective and the global norm of the gradient are enough: one bad entry in any
    gradient makes the norm bad.
    """
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(value)) for value in values]))


def change_if[Tree: Any](sound: jax.Array, change: Callable[[Tree], Tree], state: Tree) -> Tree:
    """Return ``change(state)`` where ``sound``, else ``state`` with its very bits; both are built alike.

    A branch instead of a choice between two results: the new state can take the memory of the old one, where
    a choice needs both at once, and each number passes through memory once.
    """
    changed: Tree = jax.lax.cond(sound, change, lambda old: old, state)
    return changed


def count(sound: jax.Array, skipped: jax.Array, in_row: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return (skipped in all, skipped in a row) after one more update."""
    missed = jnp.where(sound, 0, 1).astype(skipped.dtype)
    return skipped + missed, (in_row + missed.astype(in_row.dtype)) * missed.astype(in_row.dtype)
