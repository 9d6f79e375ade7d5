"""Rotary positions (Su et al., arXiv 2104.09864), their stretched forms, and positions in packed rows."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from training.model_config import Llama3Rope, ModelConfig


class Rotation(NamedTuple):
    """Cosines and sines of the angles of each position, each (B or 1, T, H / 2), in fp32."""

    cos: jax.Array
    sin: jax.Array


class Rotations(NamedTuple):
    """The turns of layers that see everything and of those with a sliding window."""

    everywhere: Rotation
    windowed: Rotation


def positions_of(segments: jax.Array) -> jax.Array:
    """Count positions (B, T) from 0 anew in each run of equal segment ids (B, T)."""
    place = jnp.broadcast_to(jnp.arange(segments.shape[1]), segments.shape)
    begins = jnp.pad(segments[:, 1:] != segments[:, :-1], ((0, 0), (1, 0)), constant_values=True)
    return place - jax.lax.cummax(jnp.where(begins, place, 0), axis=1)


def rotations(positions: jax.Array, shape: ModelConfig) -> Rotations:
    """Return the turns at positions (B or 1, T) for both kinds of layers."""
    everywhere = _rotation(positions, _scaled(_frequencies(shape.rope_theta, shape.head_size), shape))
    if shape.local_rope_theta is None:
        return Rotations(everywhere, everywhere)
    return Rotations(everywhere, _rotation(positions, _frequencies(shape.local_rope_theta, shape.head_size)))


def rotate(x: jax.Array, rotation: Rotation) -> jax.Array:
    """Turn each pair (i, i + H/2) of x (B, T, heads, H) by its angle, in fp32."""
    cos, sin = rotation.cos[:, :, None, :], rotation.sin[:, :, None, :]
    first, second = jnp.split(x.astype(jnp.float32), 2, axis=-1)
    turned = jnp.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)
    return turned.astype(x.dtype)


def _rotation(positions: jax.Array, frequencies: jax.Array) -> Rotation:
    angles = positions[..., None].astype(jnp.float32) * frequencies
    return Rotation(jnp.cos(angles), jnp.sin(angles))


def _frequencies(theta: float, head_size: int) -> jax.Array:
    half = head_size // 2
    return theta ** (-jnp.arange(half, dtype=jnp.float32) / half)


def _scaled(frequencies: jax.Array, shape: ModelConfig) -> jax.Array:
    scaling = shape.rope_scaling
    if scaling is None:
        return frequencies
    stretched = frequencies / scaling.factor
    if not isinstance(scaling, Llama3Rope):
        return stretched
    turns = scaling.original_length * frequencies / (2 * math.pi)
    ramp = (turns - scaling.low_frequency) / (scaling.high_frequency - scaling.low_frequency)
    kept = jnp.clip(ramp, 0.0, 1.0)
    return kept * frequencies + (1 - kept) * stretched
