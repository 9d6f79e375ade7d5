"""Fused attention kernels on NVIDIA GPUs, and segments in the form that each of them takes.

Nothing here is run before `training.attention_choice` has compared it with dense attention on
the device, forward and backward, for two of the three interfaces are private to their libraries.
"""

from collections.abc import Callable
from typing import Any, Final

import jax
import jax.numpy as jnp

_TRITON_BLOCK: Final = 64


def cudnn(q: jax.Array, k: jax.Array, v: jax.Array, *, window: int | None, scale: float) -> jax.Array:
    """cuDNN's causal kernel, one trace a row."""
    left = None if window is None else (window - 1, 0)
    return jax.nn.dot_product_attention(
        q, k, v, is_causal=True, local_window_size=left, scale=scale, implementation="cudnn"
    )


def cudnn_packed(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    segments: jax.Array,
    *,
    max_segments: int | None,
    window: int | None,
    scale: float,
) -> jax.Array:
    """cuDNN's packed layout: every segment is a sequence of its own, found by its offset.

    Padding is handed over as one more segment, so that no part of the result is left unwritten.
    The kernel's statistics take batch * (max_segments + 1) * heads * time numbers: without
    ``max_segments`` that is quadratic in time. A row with more segments than promised becomes
    NaN as a whole, which no run overlooks.
    """
    from jax._src.cudnn.fused_attention_stablehlo import (  # public API has no packed layout
        MaskType,
        dot_product_attention,
    )

    runs = (segments.shape[1] if max_segments is None else max_segments) + 1
    sizes, offsets = segment_offsets(segments, runs)
    output: jax.Array = dot_product_attention(
        q,
        k,
        v,
        q_seqlen=sizes,
        kv_seqlen=sizes,
        q_offsets=offsets,
        kv_offsets=offsets,
        scale=scale,
        mask_type=MaskType.PADDING_CAUSAL,
        sliding_window_length=window,
    )
    kept = jnp.sum(jnp.maximum(sizes, 0), axis=1) == segments.shape[1]
    return jnp.where(kept[:, None, None, None], output, jnp.nan)


def triton(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    segments: jax.Array | None,
    *,
    window: int | None,
    scale: float,
) -> jax.Array:
    """tokamax's Triton kernel: causal, with the first visible key of every query.

    Its backward pass reads blocks of up to 64 positions, so rows are filled up to whole ones.
    """
    api, base = _tokamax()

    def run(q: jax.Array, k: jax.Array, v: jax.Array, segments: jax.Array | None) -> jax.Array:
        first = first_visible_key(segments, q.shape[1], window)
        mask = base.Mask(is_causal=True, k_start=None if first is None else first[:, None, :])
        output: jax.Array = api.IMPLEMENTATIONS["triton"](q, k, v, mask=mask, logits_scale=scale)
        return output

    return in_whole_blocks(run, q, k, v, segments, size=_TRITON_BLOCK)


def in_whole_blocks(
    run: Callable[[jax.Array, jax.Array, jax.Array, jax.Array | None], jax.Array],
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    segments: jax.Array | None,
    *,
    size: int,
) -> jax.Array:
    """Run a causal attention on rows filled up on the right to a multiple of ``size`` positions.

    What is added lies after every real query, which therefore cannot see it.
    """
    time = q.shape[1]
    if not (more := -time % size):
        return run(q, k, v, segments)
    q, k, v = (jnp.pad(x, ((0, 0), (0, more), (0, 0), (0, 0))) for x in (q, k, v))
    if segments is not None:
        segments = jnp.pad(segments, ((0, 0), (0, more)))
    return run(q, k, v, segments)[:, :time]


def tokamax_obstacle() -> str:
    """Say why tokamax's Triton kernel cannot be used; empty when it can be imported."""
    try:
        api, _ = _tokamax()
    except Exception as error:  # an optional library may fail to import in any way
        return f"tokamax cannot be imported ({type(error).__name__}: {error})"
    return "" if "triton" in api.IMPLEMENTATIONS else "this tokamax has no Triton kernel"


def segment_offsets(segments: jax.Array, runs: int) -> tuple[jax.Array, jax.Array]:
    """Turn segment ids (batch, time) into sizes (batch, runs) and offsets (batch, runs + 1), int32.

    Every run of equal ids counts, padding too; what a row has fewer than ``runs`` is -1. Runs
    beyond the number given are left out.
    """
    batch, time = segments.shape
    rows = jnp.arange(batch)[:, None]
    run = jnp.cumsum(_changes(segments), axis=1) - 1
    positions = jnp.broadcast_to(jnp.arange(time, dtype=jnp.int32), (batch, time))
    sizes = jnp.zeros((batch, runs), jnp.int32).at[rows, run].add(1, mode="drop")
    starts = jnp.full((batch, runs + 1), time, jnp.int32).at[rows, run].min(positions, mode="drop")
    there = jnp.pad(sizes > 0, ((0, 0), (0, 1)))
    return jnp.where(sizes > 0, sizes, -1), jnp.where(there, starts, -1)


def first_visible_key(segments: jax.Array | None, time: int, window: int | None) -> jax.Array | None:
    """Return the first visible key of every query, (batch or 1, time); None where that is always 0."""
    positions = jnp.arange(time, dtype=jnp.int32)[None, :]
    first = None if window is None else jnp.maximum(positions - (window - 1), 0)
    if segments is None:
        return first
    starts = jax.lax.cummax(jnp.where(_changes(segments), positions, 0), axis=1)
    return starts if first is None else jnp.maximum(starts, first)


def _changes(segments: jax.Array) -> jax.Array:
    """Mark where a segment begins; the first position always does."""
    return jnp.pad(segments[:, 1:] != segments[:, :-1], ((0, 0), (1, 0)), constant_values=True)


def _tokamax() -> tuple[Any, Any]:
    from tokamax._src.ops.attention import api, base  # type: ignore[import-not-found]  # optional

    return api, base
