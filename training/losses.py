"""Cross-entropy as a sum and a weight, so that parts of a batch add up exactly."""

import jax
import jax.numpy as jnp
import optax


def cross_entropy(logits: jax.Array, targets: jax.Array, weights: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return (sum of weighted losses in nats, sum of weights), both fp32 scalars.

    ``logits`` (…, vocabulary), ``targets`` (…) and ``weights`` (…): dividing the first by the
    second gives the mean per supervised token; never average means of unequal parts.
    """
    losses = optax.softmax_cross_entropy_with_integer_labels(logits.astype(jnp.float32), targets)
    return jnp.sum(losses * weights), jnp.sum(weights)
