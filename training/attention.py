"""Causal attention behind one interface.

All take queries (batch, time, heads, head size) and keys and values (batch, time, kv heads,
head size), and return (batch, time, heads, head size). Scores and softmax are fp32.

A row may hold several traces, told apart by segment ids. A position sees those of its own
segment up to itself, at most ``window`` of them. Without segments a row is one trace, and since
it is padded on the right, causality already hides padding from every real position. What comes
out at padding is of no meaning, but never NaN.
"""

from typing import Final, Literal

import jax
import jax.numpy as jnp

from training import attention_kernels

Implementation = Literal["dense", "chunked", "cudnn", "cudnn_packed", "triton"]

# Queries of one block, and the most blocks that are laid out one after another in the program.
# Measured forward and backward on two CPU cores: 64 beats 32, 128 and 256 at widths of 256 and
# 512, reach or no reach, and is as fast as 128 at 1,024.
_BLOCK: Final = 64
_BLOCKS: Final = 32
# The score of a key that may not be seen; finite, so that no row can turn into NaN.
_HIDDEN: Final = -1e30


def causal_attention(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    implementation: Implementation,
    *,
    segments: jax.Array | None = None,
    reach: int | None = None,
    max_segments: int | None = None,
    window: int | None = None,
    scale: float | None = None,
    soft_cap: float | None = None,
) -> jax.Array:
    """Attend from every position to itself and the ones before in its segment.

    ``segments`` (batch, time) int32 is 0 at padding and else the trace's number in its row. Two
    static promises about it only save work: no trace takes more than ``reach`` positions, and no row
    holds more than ``max_segments`` traces. ``scale`` replaces head size ** -0.5; scores are
    softly capped as cap * tanh(score / cap) where a ``soft_cap`` is given.

    Raises:
        ValueError: when the implementation cannot honour what is asked; no mask is ever left out.
    """
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    match implementation:
        case "dense":
            return _blockwise(q, k, v, segments, q.shape[1], None, window, scale, soft_cap)
        case "chunked":
            size = block_size(q.shape[1])
            return _blockwise(q, k, v, segments, size, reach, window, scale, soft_cap)
        case "cudnn":
            if segments is not None:
                raise ValueError("cudnn attention takes no segments; packed rows need another implementation")
            _refuse_soft_cap(implementation, soft_cap)
            return attention_kernels.cudnn(q, k, v, window=window, scale=scale)
        case "cudnn_packed":
            _refuse_soft_cap(implementation, soft_cap)
            if segments is None:
                # A model that trains on packed rows is evaluated on rows of one trace.
                return attention_kernels.cudnn(q, k, v, window=window, scale=scale)
            return attention_kernels.cudnn_packed(
                q, k, v, segments, max_segments=max_segments, window=window, scale=scale
            )
        case "triton":
            _refuse_soft_cap(implementation, soft_cap)
            return attention_kernels.triton(q, k, v, segments, window=window, scale=scale)


def attend(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    mask: jax.Array,
    *,
    scale: float | None = None,
    soft_cap: float | None = None,
) -> jax.Array:
    """Attend under a mask that broadcasts to (batch, kv heads, group, queries, keys); True is visible."""
    batch, queries, heads, size = q.shape
    kv_heads = k.shape[2]
    scale = size**-0.5 if scale is None else scale
    grouped = q.reshape(batch, queries, kv_heads, heads // kv_heads, size)
    scores = jnp.einsum("bqkgh,bskh->bkgqs", grouped, k, preferred_element_type=jnp.float32) * scale
    if soft_cap is not None:
        scores = soft_cap * jnp.tanh(scores / soft_cap)
    shares = jax.nn.softmax(jnp.where(mask, scores, _HIDDEN), axis=-1).astype(v.dtype)
    return jnp.einsum("bkgqs,bskh->bqkgh", shares, v).reshape(batch, queries, heads, size)


def block_size(time: int) -> int:
    """Return the queries of a block: 64, or more where that would make too many blocks."""
    return max(_BLOCK, -(-time // (_BLOCKS * _BLOCK)) * _BLOCK)


def _blockwise(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    segments: jax.Array | None,
    size: int,
    reach: int | None,
    window: int | None,
    scale: float,
    soft_cap: float | None,
) -> jax.Array:
    """Give each block of queries only the keys that one of them may see.

    Heads come before time in here, moved once: blocks then lie together, and nothing is transposed for
    each of them.
    """
    batch, time, heads, head_size = q.shape
    kv_heads = k.shape[2]
    q = q.reshape(batch, time, kv_heads, heads // kv_heads, head_size).transpose(0, 2, 3, 1, 4)
    k, v = k.swapaxes(1, 2), v.swapaxes(1, 2)
    # Without segments padding stretches a row beyond its trace, and nothing bounds what it sees.
    bounds = [bound for bound in (reach if segments is not None else None, window) if bound is not None]
    back = min([*bounds, time]) - 1
    parts = []
    for start in range(0, time, size):
        end, first = min(start + size, time), max(0, start - back)
        mask = _visible(segments, start, end, first, window)
        parts.append(
            _mix(q[..., start:end, :], k[:, :, first:end], v[:, :, first:end], mask, scale, soft_cap)
        )
    mixed = parts[0] if len(parts) == 1 else jnp.concatenate(parts, axis=3)
    return mixed.transpose(0, 3, 1, 2, 4).reshape(batch, time, heads, head_size)


def _mix(
    q: jax.Array, k: jax.Array, v: jax.Array, mask: jax.Array, scale: float, soft_cap: float | None
) -> jax.Array:
    """Attend with queries (B, K, G, Q, H) to keys and values (B, K, S, H).

    The mask broadcasts to (B, K, G, Q, S). The sum that normalises divides the result instead of the
    shares: H numbers a query, not S.
    """
    batch, kv_heads, group, queries, size = q.shape
    # Products of plain batches of matrices: CPUs have a slow path for the gradients of any others.
    q = q.reshape(batch * kv_heads, group * queries, size)
    k, v = (x.reshape(batch * kv_heads, -1, size) for x in (k, v))
    scores = jnp.einsum("nqh,nsh->nqs", q, k, preferred_element_type=jnp.float32) * scale
    if soft_cap is not None:
        scores = soft_cap * jnp.tanh(scores / soft_cap)
    scores = scores.reshape(batch, kv_heads, group, queries, -1)
    scores = jnp.where(mask, scores, _HIDDEN).reshape(batch * kv_heads, group * queries, -1)
    # Whatever is taken off changes no share, so it has no gradient.
    weights = jnp.exp(scores - jax.lax.stop_gradient(jnp.max(scores, axis=-1, keepdims=True)))
    mixed = jnp.einsum("nqs,nsh->nqh", weights.astype(v.dtype), v, preferred_element_type=jnp.float32)
    mixed = (mixed / jnp.sum(weights, axis=-1, keepdims=True)).astype(v.dtype)
    return mixed.reshape(batch, kv_heads, group, queries, size)


def _visible(segments: jax.Array | None, start: int, end: int, first: int, window: int | None) -> jax.Array:
    """Mask queries ``start`` to ``end`` against keys ``first`` to ``end``."""
    distance = jnp.arange(start, end)[:, None] - jnp.arange(first, end)[None, :]
    visible = distance >= 0
    if window is not None:
        visible &= distance < window
    if segments is None:
        return visible
    same = segments[:, start:end, None] == segments[:, None, first:end]
    return (visible & same)[:, None, None]


def _refuse_soft_cap(implementation: Implementation, soft_cap: float | None) -> None:
    if soft_cap is not None:
        raise ValueError(f"{implementation} attention cannot cap scores softly (soft_cap={soft_cap})")
