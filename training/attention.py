"""Causal attention: one interface, a few implementations, and the choice among them.

All take queries (batch, time, heads, head size) and keys and values (batch, time, kv heads,
head size), and return (batch, time, heads, head size). Scores and softmax are fp32. Rows are
padded on the right, so the causal mask already hides padding from every real position.
"""

from dataclasses import dataclass
from typing import Final, Literal

import jax
import jax.numpy as jnp

from training.errors import ConfigError

Implementation = Literal["dense", "chunked", "cudnn"]
QUERY_CHUNKS: Final = 4
# The score of a key that may not be seen; finite, so that no row can turn into NaN.
_HIDDEN: Final = -1e30


@dataclass(frozen=True, slots=True)
class AttentionChoice:
    """The implementation that runs and why it was taken; ``fallback`` marks a second choice."""

    name: Implementation
    reason: str
    fallback: bool = False


def causal_attention(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    implementation: Implementation,
    *,
    segments: jax.Array | None = None,
    reach: int | None = None,
    window: int | None = None,
    scale: float | None = None,
    soft_cap: float | None = None,
) -> jax.Array:
    """Attend from every position to itself and the ones before, of its segment and within the window."""
    del reach
    if segments is not None or window is not None or scale is not None or soft_cap is not None:
        if implementation == "cudnn":
            raise ConfigError("attention=cudnn cannot run segments, windows, scales or soft caps.")
        place = jnp.arange(q.shape[1])
        mask = _causal_mask(0, q.shape[1], q.shape[1])
        if window is not None:
            mask &= place[:, None] - place[None, :] < window
        if segments is not None:
            mask = (mask & (segments[:, :, None] == segments[:, None, :]))[:, None, None]
        return attend(q, k, v, mask, scale=scale, soft_cap=soft_cap)
    if implementation == "cudnn":
        return jax.nn.dot_product_attention(q, k, v, is_causal=True, implementation="cudnn")
    time = q.shape[1]
    if implementation == "dense" or time % QUERY_CHUNKS:
        return attend(q, k, v, _causal_mask(0, time, time))
    # A quarter of the queries sees only the keys up to its end: 5/8 of the dense products.
    size = time // QUERY_CHUNKS
    parts = []
    for start in range(0, time, size):
        end = start + size
        parts.append(attend(q[:, start:end], k[:, :end], v[:, :end], _causal_mask(start, end, end)))
    return jnp.concatenate(parts, axis=1)


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
    grouped = q.reshape(batch, queries, kv_heads, heads // kv_heads, size)
    scores = jnp.einsum("bqkgh,bskh->bkgqs", grouped, k, preferred_element_type=jnp.float32)
    scores = scores * (size**-0.5 if scale is None else scale)
    if soft_cap is not None:
        scores = soft_cap * jnp.tanh(scores / soft_cap)
    scores = jnp.where(mask, scores, _HIDDEN)
    shares = jax.nn.softmax(scores, axis=-1).astype(v.dtype)
    return jnp.einsum("bkgqs,bskh->bqkgh", shares, v).reshape(batch, queries, heads, size)


def choose_attention(*, wanted: str, device: jax.Device, dtype: jnp.dtype, head_size: int) -> AttentionChoice:
    """Choose once, before training; cuDNN is tried on the device, forward and backward.

    Raises:
        ConfigError: when a certain implementation is wanted and cannot run here.
    """
    if wanted == "chunked":
        return AttentionChoice("chunked", "asked for")
    if wanted == "dense":
        return AttentionChoice("dense", "asked for")
    if wanted == "auto" and device.platform == "cpu":
        return AttentionChoice("chunked", "skips most masked blocks on a CPU")
    obstacle = _cudnn_obstacle(device, dtype, head_size)
    if not obstacle:
        return AttentionChoice("cudnn", "fused kernel, tried on this device")
    if wanted == "cudnn":
        raise ConfigError(f"attention=cudnn cannot run here: {obstacle}. Use attention=auto or dense.")
    return AttentionChoice("dense", f"no fused kernel: {obstacle}", fallback=True)


def _cudnn_obstacle(device: jax.Device, dtype: jnp.dtype, head_size: int) -> str:
    if device.platform != "gpu":
        return f"cuDNN needs an NVIDIA GPU, this is {device.platform}"
    if dtype not in (jnp.bfloat16, jnp.float16):
        return f"cuDNN needs bf16 or fp16, this is {dtype}"
    if head_size % 8:
        return f"cuDNN needs a head size that 8 divides, this is {head_size}"
    try:
        with jax.default_device(device):
            probe = jnp.ones((1, 64, 2, head_size), dtype)

            def total(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
                return causal_attention(q, k, v, "cudnn").astype(jnp.float32).sum()

            gradients = jax.jit(jax.grad(total, argnums=(0, 1, 2)))(probe, probe, probe)
            jax.device_get(gradients)
    except Exception as error:  # the kernel refuses in many ways, and each must end in a fallback
        return " ".join(str(error).split())[:300] or type(error).__name__
    return ""


def _causal_mask(start: int, end: int, keys: int) -> jax.Array:
    return jnp.arange(start, end)[:, None] >= jnp.arange(keys)[None, :]
