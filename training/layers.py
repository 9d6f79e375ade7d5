"""The parts of a block, in Flax NNX.

Parameters are fp32; products run in ``dtype``; norms and rotary angles are fp32.
Shapes are written B batch, T time, D width, N heads, K kv heads, H head size.
"""

from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from training.attention import Implementation, attend, causal_attention
from training.linear import Quantized, Stored, frozen_matmul, matmul
from training.model_config import ModelConfig
from training.rope import Rotation, Rotations, rotate

# What sets the keys of the projections apart from those of the block's own dropout.
_ATTENTION: Final = 2
_MLP: Final = 3
# For each part of a module the key of its dropout, where there is any.
type Keys = tuple[jax.Array | None, ...]


class LayerCache(NamedTuple):
    """Keys and values of one layer, each (B, capacity, K, H)."""

    k: jax.Array
    v: jax.Array


class Linear(nnx.Module):
    """A product with a matrix of shape (inputs, outputs), and a bias where one is asked for.

    What `training.adapters` makes of it: the matrix is ``frozen``, may be kept in few bits as ``codes``
    and ``scales`` in place of ``kernel``, and ``lora_a`` (inputs, rank) and ``lora_b`` (rank, outputs)
    add their product times ``lora_scale`` to it.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        dtype: jnp.dtype,
        rngs: nnx.Rngs,
        scale: float = 1.0,
        bias: bool = False,
    ) -> None:
        std = scale * inputs**-0.5
        self.kernel: Any = nnx.Param(std * jax.random.normal(rngs.params(), (inputs, outputs)))
        self.bias = nnx.Param(jnp.zeros((outputs,))) if bias else None
        self.dtype = dtype
        self.frozen, self.quantization = False, ""
        self.codes: Any = None
        self.scales: Any = None
        self.lora_a: Any = None
        self.lora_b: Any = None
        self.lora_scale = self.lora_dropout = 0.0

    def __call__(self, x: jax.Array, key: jax.Array | None = None) -> jax.Array:
        """Multiply x (…, inputs); ``key`` draws what an adapter's dropout leaves out."""
        if self.frozen:
            product = frozen_matmul(self.dtype, self._stored(), x)
        else:
            product = matmul(x, self.kernel[...].astype(self.dtype))
        if self.lora_a is not None:
            kept = drop(x, self.lora_dropout, key)
            low = matmul(kept, self.lora_a[...].astype(self.dtype))
            product = product + self.lora_scale * matmul(low, self.lora_b[...].astype(self.dtype))
        return product if self.bias is None else product + self.bias[...].astype(self.dtype)

    def _stored(self) -> Stored:
        if self.codes is None:
            array: jax.Array = self.kernel[...]
            return array
        return Quantized(self.codes[...], self.scales[...], self.quantization)


class RMSNorm(nnx.Module):
    """Scale to a mean square of one (Zhang and Sennrich, arXiv 1910.07467), statistics in fp32."""

    def __init__(self, width: int, shape: ModelConfig) -> None:
        self.offset = 1.0 if shape.unit_offset else 0.0
        self.scale = nnx.Param(jnp.full((width,), 1.0 - self.offset))
        self.epsilon = shape.norm_epsilon

    @jax.named_scope("norm")
    def __call__(self, x: jax.Array) -> jax.Array:
        """Normalise the last axis."""
        wide = x.astype(jnp.float32)
        mean_square = jnp.mean(wide * wide, axis=-1, keepdims=True)
        scale = self.scale[...] + self.offset if self.offset else self.scale[...]
        return (wide * jax.lax.rsqrt(mean_square + self.epsilon) * scale).astype(x.dtype)


class Attention(nnx.Module):
    """Grouped-query attention with rotary positions, over all that comes before or a sliding window."""

    def __init__(
        self,
        shape: ModelConfig,
        window: int | None,
        *,
        dtype: jnp.dtype,
        implementation: Implementation,
        rngs: nnx.Rngs,
    ) -> None:
        self.shape, self.window, self.implementation = shape, window, implementation
        width, bias = shape.width, shape.qkv_bias
        queries, keys = shape.heads * shape.head_size, shape.kv_heads * shape.head_size
        self.q = Linear(width, queries, dtype=dtype, rngs=rngs, bias=bias)
        self.k = Linear(width, keys, dtype=dtype, rngs=rngs, bias=bias)
        self.v = Linear(width, keys, dtype=dtype, rngs=rngs, bias=bias)
        residual_scale = (2 * shape.layers) ** -0.5
        self.out = Linear(queries, width, dtype=dtype, rngs=rngs, scale=residual_scale, bias=shape.out_bias)
        self.q_norm = RMSNorm(shape.head_size, shape) if shape.qk_norm else None
        self.k_norm = RMSNorm(shape.head_size, shape) if shape.qk_norm else None

    def __call__(
        self,
        x: jax.Array,
        turns: Rotations,
        segments: jax.Array | None,
        reach: int | None,
        max_segments: int | None,
        key: jax.Array | None = None,
    ) -> tuple[jax.Array, LayerCache]:
        """Mix x (B, T, D) over time; also return its keys and values."""
        keys = _split(key, 4)
        q, k, v = self._project(x, turns, keys)
        with jax.named_scope("attention"):
            mixed = causal_attention(
                q,
                k,
                v,
                self.implementation,
                segments=segments,
                reach=reach,
                max_segments=max_segments,
                window=self.window,
                scale=self.shape.attention_scale,
                soft_cap=self.shape.attention_soft_cap,
            )
        return self._join(mixed, x, keys[3]), LayerCache(k, v)

    def decode(
        self, x: jax.Array, turns: Rotations, positions: jax.Array, cache: LayerCache
    ) -> tuple[jax.Array, LayerCache]:
        """Attend from one new position a row, which is written into the cache first."""
        q, k, v = self._project(x, turns)
        rows = jnp.arange(x.shape[0])
        cache = LayerCache(cache.k.at[rows, positions].set(k[:, 0]), cache.v.at[rows, positions].set(v[:, 0]))
        behind = positions[:, None] - jnp.arange(cache.k.shape[1])[None, :]
        visible = behind >= 0 if self.window is None else (behind >= 0) & (behind < self.window)
        mixed = attend(
            q,
            cache.k,
            cache.v,
            visible[:, None, None, None, :],
            scale=self.shape.attention_scale,
            soft_cap=self.shape.attention_soft_cap,
        )
        return self._join(mixed, x), cache

    @jax.named_scope("projections")
    def _join(self, mixed: jax.Array, x: jax.Array, key: jax.Array | None = None) -> jax.Array:
        return self.out(mixed.reshape(*x.shape[:2], -1), key)

    @jax.named_scope("projections")
    def _project(
        self, x: jax.Array, turns: Rotations, keys: Keys = (None, None, None)
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        size = self.shape.head_size
        q = self.q(x, keys[0]).reshape(*x.shape[:2], self.shape.heads, size)
        k = self.k(x, keys[1]).reshape(*x.shape[:2], self.shape.kv_heads, size)
        v = self.v(x, keys[2]).reshape(*x.shape[:2], self.shape.kv_heads, size)
        if self.q_norm is not None and self.k_norm is not None:
            q, k = self.q_norm(q), self.k_norm(k)
        turn: Rotation = turns.everywhere if self.window is None else turns.windowed
        return rotate(q, turn), rotate(k, turn), v


class GatedMLP(nnx.Module):
    """Gated MLP: out(activation(gate(x)) * up(x)) (Shazeer, arXiv 2002.05202)."""

    def __init__(self, shape: ModelConfig, *, dtype: jnp.dtype, rngs: nnx.Rngs) -> None:
        self.activation = shape.activation
        self.gate = Linear(shape.width, shape.mlp_width, dtype=dtype, rngs=rngs)
        self.up = Linear(shape.width, shape.mlp_width, dtype=dtype, rngs=rngs)
        self.out = Linear(
            shape.mlp_width, shape.width, dtype=dtype, rngs=rngs, scale=(2 * shape.layers) ** -0.5
        )

    @jax.named_scope("mlp")
    def __call__(self, x: jax.Array, key: jax.Array | None = None) -> jax.Array:
        """Transform each position of x (B, T, D) alone."""
        keys = _split(key, 3)
        gate = self.gate(x, keys[0])
        opened = jax.nn.silu(gate) if self.activation == "silu" else jax.nn.gelu(gate, approximate=True)
        return self.out(opened * self.up(x, keys[1]), keys[2])


class Block(nnx.Module):
    """Attention and MLP, each on a normalised copy of the residual stream, to which they add."""

    def __init__(
        self,
        shape: ModelConfig,
        layer: int,
        *,
        dtype: jnp.dtype,
        implementation: Implementation,
        rngs: nnx.Rngs,
        dropout: float = 0.0,
    ) -> None:
        self.dropout = dropout
        self.attention_norm = RMSNorm(shape.width, shape)
        self.attention = Attention(
            shape, shape.window_of(layer), dtype=dtype, implementation=implementation, rngs=rngs
        )
        self.attention_post_norm = RMSNorm(shape.width, shape) if shape.post_norms else None
        self.mlp_norm = RMSNorm(shape.width, shape)
        self.mlp = GatedMLP(shape, dtype=dtype, rngs=rngs)
        self.mlp_post_norm = RMSNorm(shape.width, shape) if shape.post_norms else None

    def __call__(
        self,
        x: jax.Array,
        turns: Rotations,
        *,
        segments: jax.Array | None = None,
        reach: int | None = None,
        max_segments: int | None = None,
        key: jax.Array | None = None,
    ) -> tuple[jax.Array, LayerCache]:
        """Run x (B, T, D) through both halves; also return keys and values."""
        own = None if key is None else jax.random.fold_in(key, _ATTENTION)
        mixed, cache = self.attention(self.attention_norm(x), turns, segments, reach, max_segments, own)
        return self._add(x, mixed, key), cache

    def decode(
        self, x: jax.Array, turns: Rotations, positions: jax.Array, cache: LayerCache
    ) -> tuple[jax.Array, LayerCache]:
        """Run one new position a row."""
        mixed, cache = self.attention.decode(self.attention_norm(x), turns, positions, cache)
        return self._add(x, mixed, None), cache

    def _add(self, x: jax.Array, mixed: jax.Array, key: jax.Array | None) -> jax.Array:
        keys = (None, None) if key is None else jax.random.split(key)
        if self.attention_post_norm is not None:
            mixed = self.attention_post_norm(mixed)
        x = x + drop(mixed, self.dropout, keys[0])
        changed = self.mlp(self.mlp_norm(x), None if key is None else jax.random.fold_in(key, _MLP))
        if self.mlp_post_norm is not None:
            changed = self.mlp_post_norm(changed)
        return x + drop(changed, self.dropout, keys[1])


def _split(key: jax.Array | None, parts: int) -> Keys:
    """Give each part of a module a key of its own; none without one."""
    return (None,) * parts if key is None else tuple(jax.random.split(key, parts))


def drop(x: jax.Array, share: float, key: jax.Array | None) -> jax.Array:
    """Zero a share of x at random and scale up the rest, so that the expectation stays; no key: x."""
    if key is None or not share:
        return x
    kept = jax.random.bernoulli(key, 1 - share, x.shape)
    return jnp.where(kept, x / (1 - share), jnp.zeros_like(x))
