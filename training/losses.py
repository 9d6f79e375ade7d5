"""Cross-entropy as sums and a weight, so that parts of a batch add up exactly.

For a token with logits z, target t and weight w, with n = log(sum(exp(z))) over V logits:

    loss      = w (n - z[t])
    objective = w (n - (1 - s) z[t] - s mean(z) + c n²)

where s is the label smoothing (Szegedy et al., arXiv 1512.00567: the target keeps 1 - s and
s is spread evenly over all V entries) and c the z-loss (Chowdhery et al., arXiv 2204.02311),
which keeps n near zero. A soft cap k (Gemma 2, arXiv 2408.00118) makes k tanh(z / k) of the logits first.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax


class LossSums(NamedTuple):
    """Sums over tokens, fp32 scalars: what is minimised, the plain cross-entropy in nats, the weights."""

    objective: jax.Array
    loss: jax.Array
    weight: jax.Array


class _Terms(NamedTuple):
    z_loss: float
    label_smoothing: float
    soft_cap: float | None


class _Tokens(NamedTuple):
    """Features (tokens, D), targets (tokens,) and weights (tokens,), or chunks of them."""

    features: jax.Array
    targets: jax.Array
    weights: jax.Array


def cross_entropy(logits: jax.Array, targets: jax.Array, weights: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return (sum of weighted losses in nats, sum of weights), both fp32 scalars.

    ``logits`` (…, vocabulary), ``targets`` (…) and ``weights`` (…): dividing the first by the
    second gives the mean per supervised token; never average means of unequal parts.
    """
    losses = optax.softmax_cross_entropy_with_integer_labels(logits.astype(jnp.float32), targets)
    return jnp.sum(losses * weights), jnp.sum(weights)


@jax.named_scope("loss")
def chunked_cross_entropy(
    features: jax.Array,
    matrix: jax.Array,
    targets: jax.Array,
    weights: jax.Array,
    *,
    chunk: int,
    z_loss: float = 0.0,
    label_smoothing: float = 0.0,
    soft_cap: float | None = None,
) -> LossSums:
    """Return the sums for features (B, T, D), a matrix (D, V), targets and weights (B, T).

    Logits exist for ``chunk`` tokens at a time, in the forward pass as in the backward pass:
    the gradient is taken right where a chunk's logits are, so that nothing is computed twice.
    Logits and all that follows are fp32. Only ``objective`` carries a gradient, and only to
    features and matrix.
    """
    weights = jax.lax.stop_gradient(weights.astype(jnp.float32))
    tokens = _Tokens(features.reshape(-1, features.shape[-1]), targets.reshape(-1), weights.reshape(-1))
    objective, loss = _sums(tokens, matrix, chunk, _Terms(z_loss, label_smoothing, soft_cap))
    return LossSums(objective, jax.lax.stop_gradient(loss), jnp.sum(weights))


type _Pair = tuple[jax.Array, jax.Array]


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _sums(tokens: _Tokens, matrix: jax.Array, chunk: int, terms: _Terms) -> _Pair:
    def add(total: _Pair, part: _Tokens) -> tuple[_Pair, None]:
        objective, loss, _ = _score(part, matrix, terms)
        return (total[0] + objective, total[1] + loss), None

    zero = jnp.zeros((), jnp.float32)
    return _over_chunks(add, (zero, zero), tokens, chunk)[0]


def _forward(
    tokens: _Tokens, matrix: jax.Array, chunk: int, terms: _Terms
) -> tuple[_Pair, tuple[jax.Array, jax.Array, jax.Array]]:
    def add(total: tuple[_Pair, jax.Array], part: _Tokens) -> tuple[tuple[_Pair, jax.Array], jax.Array]:
        sums, matrix_gradient = total
        objective, loss, slope = _score(part, matrix, terms)
        # As in training.linear: one plain two-dimensional product each, which is fast on CPUs.
        by_matrix = jnp.matmul(part.features.T, slope, preferred_element_type=jnp.float32)
        by_features = slope @ matrix.T
        return ((sums[0] + objective, sums[1] + loss), matrix_gradient + by_matrix), by_features

    zero = jnp.zeros((), jnp.float32)
    begin = ((zero, zero), jnp.zeros(matrix.shape, jnp.float32))
    (sums, by_matrix), by_features = _over_chunks(add, begin, tokens, chunk)
    by_features = by_features.reshape(-1, matrix.shape[0])[: tokens.targets.size]
    return sums, (by_features, by_matrix.astype(matrix.dtype), tokens.targets)


def _backward(
    _chunk: int, _terms: _Terms, saved: tuple[jax.Array, jax.Array, jax.Array], g: _Pair
) -> tuple[_Tokens, jax.Array]:
    by_features, by_matrix, targets = saved
    no_tangent = jnp.zeros(targets.shape, jax.dtypes.float0)
    no_weight = jnp.zeros(targets.shape, jnp.float32)
    scale = g[0].astype(by_features.dtype)
    return _Tokens(by_features * scale, no_tangent, no_weight), by_matrix * scale


_sums.defvjp(_forward, _backward)


def _score(part: _Tokens, matrix: jax.Array, terms: _Terms) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return both sums of a chunk and the objective's slope by its raw logits, (tokens, V)."""
    logits = jnp.matmul(part.features, matrix, preferred_element_type=jnp.float32)
    cap = terms.soft_cap
    if cap is not None:
        logits = cap * jnp.tanh(logits / cap)
    normaliser = jax.nn.logsumexp(logits, axis=-1)
    at_target = jnp.take_along_axis(logits, part.targets[:, None], axis=-1)[:, 0]
    loss = normaliser - at_target
    objective = loss + terms.z_loss * normaliser**2
    share = terms.label_smoothing
    if share:
        objective = objective + share * (at_target - jnp.mean(logits, axis=-1))
    # Comparing with the column's number instead of a scatter: it melts into the same pass.
    hit = jnp.arange(logits.shape[-1])[None, :] == part.targets[:, None]
    spread = share / logits.shape[-1]
    wanted = jnp.where(hit, 1 - share + spread, spread)
    # Exponentials once more instead of those of the sum, which would have to be kept: measured faster.
    probability = jnp.exp(logits - normaliser[:, None])
    slope = probability * (1 + 2 * terms.z_loss * normaliser)[:, None]
    slope = (slope - wanted) * part.weights[:, None]
    if cap is not None:
        slope = slope * (1 - (logits / cap) ** 2)
    return (
        jnp.sum(objective * part.weights),
        jnp.sum(loss * part.weights),
        slope.astype(part.features.dtype),
    )


def _over_chunks[Total, Each](
    step: Callable[[Total, _Tokens], tuple[Total, Each]], begin: Total, tokens: _Tokens, chunk: int
) -> tuple[Total, Each]:
    """Scan over chunks of equal size, the last one filled up with tokens of weight zero."""
    count = tokens.targets.size
    if chunk >= count:
        return step(begin, tokens)
    chunks = -(-count // chunk)

    def split(x: jax.Array) -> jax.Array:
        filled = jnp.pad(x, ((0, chunks * chunk - count), *((0, 0) for _ in x.shape[1:])))
        return filled.reshape(chunks, chunk, *x.shape[1:])

    return jax.lax.scan(step, begin, jax.tree.map(split, tokens))
