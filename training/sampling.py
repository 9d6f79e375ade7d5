"""Choose each row's next token: the likeliest one, or one drawn with temperature, top-k and top-p.

All settings are traced values, so that other ones need no new program. B rows, V ids.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from training.decoding import Decoding

Words = npt.NDArray[np.uint32]


class Sampler(NamedTuple):
    """The settings as scalars on the device; what each means stands in `training.decoding`."""

    temperature: jax.Array | np.float32
    top_k: jax.Array | np.int32
    top_p: jax.Array | np.float32
    seed: jax.Array | np.uint32


def make_sampler(decoding: Decoding) -> Sampler:
    """Take from the settings what the device needs."""
    return Sampler(
        np.float32(decoding.temperature),
        np.int32(decoding.top_k),
        np.float32(decoding.top_p),
        np.uint32(decoding.seed),
    )


def name_rows(prompts: Sequence[Sequence[int]], samples: int) -> Words:
    """Name each text that is to be written, prompt by prompt, by three words: (texts, 3).

    Two words are of the prompt's hash and one is the number of the text after this prompt, so
    a name depends on no other prompt. A prompt that stands there again counts on.
    """
    texts: list[tuple[int, int, int]] = []
    seen: Counter[tuple[int, ...]] = Counter()
    for prompt in prompts:
        tokens = tuple(prompt)
        digest = hashlib.sha256(np.asarray(tokens, dtype="<u4").tobytes()).digest()
        first, second = (int.from_bytes(digest[at : at + 4], "little") for at in (0, 4))
        texts += [(first, second, seen[tokens] + number) for number in range(samples)]
        seen[tokens] += samples
    return np.array(texts, dtype=np.uint32).reshape(-1, 3)


def row_keys(seed: jax.Array | np.uint32, names: jax.Array | Words) -> jax.Array:
    """Make one random key (B,) of the seed and each row's name (B, 3)."""
    # Named, so that no setting of the process changes what a seed draws.
    root = jax.random.key(seed, impl="threefry2x32")

    def key_of(words: jax.Array) -> jax.Array:
        return jax.random.fold_in(jax.random.fold_in(jax.random.fold_in(root, words[0]), words[1]), words[2])

    return jax.vmap(key_of)(jnp.asarray(names))


def choose_tokens(logits: jax.Array, keys: jax.Array, counts: jax.Array, sampler: Sampler) -> jax.Array:
    """Choose one id a row (B,) from fp32 logits (B, V).

    A draw is decided by the row's key (B,), the tokens written before it, ``counts`` (B,), and the
    row's logits alone. It takes the largest of log-probability plus Gumbel noise, which follows
    the softmax exactly (Maddison, Tarlow and Minka, arXiv 1411.0030).
    """

    def likeliest() -> jax.Array:
        return jnp.argmax(logits, axis=-1).astype(jnp.int32)

    def scaled_and_noise() -> tuple[jax.Array, jax.Array]:
        # From the largest one down, so that no temperature can overflow.
        scaled = (logits - jnp.max(logits, axis=-1, keepdims=True)) / sampler.temperature
        return scaled, jax.vmap(lambda key, count: _noise(key, count, logits.shape[-1]))(keys, counts)

    def among_all() -> jax.Array:
        scaled, noise = scaled_and_noise()
        return jnp.argmax(scaled + noise, axis=-1).astype(jnp.int32)

    def among_likeliest() -> jax.Array:
        scaled, noise = scaled_and_noise()
        order = jnp.argsort(-scaled, axis=-1, stable=True)
        ranked = jnp.take_along_axis(scaled, order, axis=-1)
        kept = keep_likeliest(ranked, sampler.top_k, sampler.top_p)
        # The noise belongs to ids and not to ranks: two ids that rounding swaps keep theirs.
        score = jnp.where(kept, ranked + jnp.take_along_axis(noise, order, axis=-1), -jnp.inf)
        best = jnp.argmax(score, axis=-1, keepdims=True)
        return jnp.take_along_axis(order, best, axis=-1)[:, 0].astype(jnp.int32)

    # Only what needs the sort pays for it: evaluation is greedy, and most draws are among all.
    limited = (sampler.top_k > 0) | (sampler.top_p < 1)
    way = jnp.where(sampler.temperature > 0, 1 + limited, 0)
    chosen: jax.Array = jax.lax.switch(way, (likeliest, among_all, among_likeliest))
    return chosen


def keep_likeliest(
    ranked: jax.Array, top_k: jax.Array | np.int32, top_p: jax.Array | np.float32
) -> jax.Array:
    """Mark which of the logits (B, V), sorted downwards, may be drawn.

    First the ``top_k`` likeliest stay (0: all), then of these the fewest whose probability, taken
    among them, reaches ``top_p`` (Holtzman et al., arXiv 1904.09751); the first one always.
    """
    among = (jnp.arange(ranked.shape[-1]) < top_k) | (top_k == 0)
    probability = jax.nn.softmax(jnp.where(among, ranked, -jnp.inf), axis=-1)
    before = jnp.cumsum(probability, axis=-1) - probability
    first = jnp.arange(ranked.shape[-1]) == 0
    # Rounding may bring the sum to one before the last id, and 1 means all of them.
    return among & ((before < top_p) | (top_p >= 1) | first)


def _noise(key: jax.Array, count: jax.Array, size: int) -> jax.Array:
    return jax.random.gumbel(jax.random.fold_in(key, count), (size,), jnp.float32)
