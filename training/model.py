"""The decoder-only transformer, in Flax NNX.

Parameters are fp32; products run in ``dtype``; norms, rotary angles and logits are fp32.
Shapes are written B batch, T time, D width, N heads, K kv heads, H head size.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from training.attention import Implementation, attend, causal_attention
from training.linear import matmul
from training.model_config import ModelConfig


class LayerCache(NamedTuple):
    """Keys and values of one layer, each (B, capacity, K, H)."""

    k: jax.Array
    v: jax.Array


class Linear(nnx.Module):
    """A product with a matrix of shape (inputs, outputs), without bias."""

    def __init__(
        self, inputs: int, outputs: int, *, dtype: jnp.dtype, rngs: nnx.Rngs, scale: float = 1.0
    ) -> None:
        std = scale * inputs**-0.5
        self.kernel = nnx.Param(std * jax.random.normal(rngs.params(), (inputs, outputs)))
        self.dtype = dtype

    def __call__(self, x: jax.Array) -> jax.Array:
        """Multiply x (…, inputs)."""
        return matmul(x, self.kernel[...].astype(self.dtype))


class RMSNorm(nnx.Module):
    """Scale to a mean square of one (Zhang and Sennrich, arXiv 1910.07467), statistics in fp32."""

    def __init__(self, width: int, *, epsilon: float) -> None:
        self.scale = nnx.Param(jnp.ones((width,)))
        self.epsilon = epsilon

    def __call__(self, x: jax.Array) -> jax.Array:
        """Normalise the last axis."""
        wide = x.astype(jnp.float32)
        mean_square = jnp.mean(wide * wide, axis=-1, keepdims=True)
        return (wide * jax.lax.rsqrt(mean_square + self.epsilon) * self.scale[...]).astype(x.dtype)


class Attention(nnx.Module):
    """Grouped-query attention with rotary positions."""

    def __init__(
        self, shape: ModelConfig, *, dtype: jnp.dtype, implementation: Implementation, rngs: nnx.Rngs
    ) -> None:
        self.shape, self.implementation = shape, implementation
        queries, keys = shape.heads * shape.head_size, shape.kv_heads * shape.head_size
        self.q = Linear(shape.width, queries, dtype=dtype, rngs=rngs)
        self.k = Linear(shape.width, keys, dtype=dtype, rngs=rngs)
        self.v = Linear(shape.width, keys, dtype=dtype, rngs=rngs)
        self.out = Linear(queries, shape.width, dtype=dtype, rngs=rngs, scale=(2 * shape.layers) ** -0.5)

    def __call__(self, x: jax.Array, angles: jax.Array) -> tuple[jax.Array, LayerCache]:
        """Mix x (B, T, D) over time; also return its keys and values."""
        q, k, v = self._project(x, angles)
        mixed = causal_attention(q, k, v, self.implementation)
        return self.out(mixed.reshape(*x.shape[:2], -1)), LayerCache(k, v)

    def decode(
        self, x: jax.Array, angles: jax.Array, positions: jax.Array, cache: LayerCache
    ) -> tuple[jax.Array, LayerCache]:
        """Attend from one new position a row, which is written into the cache first."""
        q, k, v = self._project(x, angles)
        rows = jnp.arange(x.shape[0])
        cache = LayerCache(cache.k.at[rows, positions].set(k[:, 0]), cache.v.at[rows, positions].set(v[:, 0]))
        visible = jnp.arange(cache.k.shape[1])[None, :] <= positions[:, None]
        mixed = attend(q, cache.k, cache.v, visible[:, None, None, None, :])
        return self.out(mixed.reshape(*x.shape[:2], -1)), cache

    def _project(self, x: jax.Array, angles: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        size = self.shape.head_size
        q = self.q(x).reshape(*x.shape[:2], self.shape.heads, size)
        k = self.k(x).reshape(*x.shape[:2], self.shape.kv_heads, size)
        v = self.v(x).reshape(*x.shape[:2], self.shape.kv_heads, size)
        return rotate(q, angles), rotate(k, angles), v


class SwiGLU(nnx.Module):
    """Gated MLP: out(silu(gate(x)) * up(x)) (Shazeer, arXiv 2002.05202)."""

    def __init__(self, shape: ModelConfig, *, dtype: jnp.dtype, rngs: nnx.Rngs) -> None:
        self.gate = Linear(shape.width, shape.mlp_width, dtype=dtype, rngs=rngs)
        self.up = Linear(shape.width, shape.mlp_width, dtype=dtype, rngs=rngs)
        self.out = Linear(
            shape.mlp_width, shape.width, dtype=dtype, rngs=rngs, scale=(2 * shape.layers) ** -0.5
        )

    def __call__(self, x: jax.Array) -> jax.Array:
        """Transform each position of x (B, T, D) alone."""
        return self.out(jax.nn.silu(self.gate(x)) * self.up(x))


class Block(nnx.Module):
    """Attention and MLP, each on a normalised copy of the residual stream."""

    def __init__(
        self, shape: ModelConfig, *, dtype: jnp.dtype, implementation: Implementation, rngs: nnx.Rngs
    ) -> None:
        self.attention_norm = RMSNorm(shape.width, epsilon=shape.norm_epsilon)
        self.attention = Attention(shape, dtype=dtype, implementation=implementation, rngs=rngs)
        self.mlp_norm = RMSNorm(shape.width, epsilon=shape.norm_epsilon)
        self.mlp = SwiGLU(shape, dtype=dtype, rngs=rngs)

    def __call__(self, x: jax.Array, angles: jax.Array) -> tuple[jax.Array, LayerCache]:
        """Run x (B, T, D) through both halves; also return keys and values."""
        mixed, cache = self.attention(self.attention_norm(x), angles)
        x = x + mixed
        return x + self.mlp(self.mlp_norm(x)), cache

    def decode(
        self, x: jax.Array, angles: jax.Array, positions: jax.Array, cache: LayerCache
    ) -> tuple[jax.Array, LayerCache]:
        """Run one new position a row."""
        mixed, cache = self.attention.decode(self.attention_norm(x), angles, positions, cache)
        x = x + mixed
        return x + self.mlp(self.mlp_norm(x)), cache


class Transformer(nnx.Module):
    """Tokens in, logits over the vocabulary out; the embedding table serves both ends."""

    def __init__(
        self, shape: ModelConfig, *, dtype: jnp.dtype, implementation: Implementation, rngs: nnx.Rngs
    ) -> None:
        self.shape, self.dtype = shape, dtype
        self.embedding = nnx.Param(0.02 * jax.random.normal(rngs.params(), (shape.vocab_size, shape.width)))
        self.blocks = nnx.List(
            [Block(shape, dtype=dtype, implementation=implementation, rngs=rngs) for _ in range(shape.layers)]
        )
        self.norm = RMSNorm(shape.width, epsilon=shape.norm_epsilon)

    def __call__(self, tokens: jax.Array) -> jax.Array:
        """Return fp32 logits (B, T, vocabulary) for tokens (B, T)."""
        return self._logits(self._run(tokens)[0])

    def prefill(
        self, tokens: jax.Array, sizes: jax.Array, capacity: int
    ) -> tuple[jax.Array, list[LayerCache]]:
        """Read prompts (B, T), padded on the right, of the given sizes (B,).

        Returns the logits (B, vocabulary) after each prompt's last token and caches with
        room for ``capacity`` positions. What padding left there lies past the row's position
        and is overwritten before it becomes visible.
        """
        x, caches = self._run(tokens)
        last = jnp.take_along_axis(x, (sizes - 1)[:, None, None], axis=1)
        room = ((0, 0), (0, capacity - tokens.shape[1]), (0, 0), (0, 0))
        grown = [LayerCache(jnp.pad(cache.k, room), jnp.pad(cache.v, room)) for cache in caches]
        return self._logits(last)[:, 0], grown

    def decode(
        self, tokens: jax.Array, positions: jax.Array, caches: list[LayerCache]
    ) -> tuple[jax.Array, list[LayerCache]]:
        """Read one token a row (B,) at its position (B,); return logits (B, vocabulary) and caches."""
        x = self.embedding[...][tokens][:, None].astype(self.dtype)
        angles = rope_angles(positions[:, None], self.shape)
        grown = []
        for block, cache in zip(self.blocks, caches, strict=True):
            x, cache = block.decode(x, angles, positions, cache)  # noqa: PLW2901 (the layer's cache, one further)
            grown.append(cache)
        return self._logits(x)[:, 0], grown

    def _run(self, tokens: jax.Array) -> tuple[jax.Array, list[LayerCache]]:
        x = self.embedding[...][tokens].astype(self.dtype)
        angles = rope_angles(jnp.arange(tokens.shape[1])[None, :], self.shape)
        caches = []
        for block in self.blocks:
            x, cache = block(x, angles)
            caches.append(cache)
        return x, caches

    def _logits(self, x: jax.Array) -> jax.Array:
        table = self.embedding[...].astype(self.dtype)
        return matmul(self.norm(x), table.T).astype(jnp.float32)


def rope_angles(positions: jax.Array, shape: ModelConfig) -> jax.Array:
    """Return the rotary angles (…, T, H / 2) of positions (…, T) (Su et al., arXiv 2104.09864)."""
    half = shape.head_size // 2
    frequencies = shape.rope_theta ** (-jnp.arange(half, dtype=jnp.float32) / half)
    return positions[..., None].astype(jnp.float32) * frequencies


def rotate(x: jax.Array, angles: jax.Array) -> jax.Array:
    """Turn each pair (i, i + H/2) of x (B, T, heads, H) by its angle, in fp32."""
    cos, sin = jnp.cos(angles)[:, :, None, :], jnp.sin(angles)[:, :, None, :]
    first, second = jnp.split(x.astype(jnp.float32), 2, axis=-1)
    turned = jnp.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)
    return turned.astype(x.dtype)
