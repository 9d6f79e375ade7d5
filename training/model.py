"""The decoder-only transformer, in Flax NNX.

Parameters are fp32; products run in ``dtype``; norms, rotary angles and logits are fp32.
Shapes are written B batch, T time, D width, N heads, K kv heads, H head size.
"""

from collections.abc import Callable
from typing import Any, Final, Literal

import jax
import jax.numpy as jnp
from flax import nnx

from training.attention import Implementation
from training.errors import ConfigError
from training.layers import Block, LayerCache, Linear, RMSNorm
from training.linear import matmul
from training.model_config import ModelConfig
from training.rope import Rotations, positions_of, rotations

Remat = Literal["none", "block", "dots"]

# What the backward pass keeps of a block beside its input. Products with weights have no batch
# dimension; those of attention have one, and their results are the large ones.
_KEPT: Final[dict[str, Callable[..., Any]]] = {
    "block": jax.checkpoint_policies.nothing_saveable,
    "dots": jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
}


class Transformer(nnx.Module):
    """Tokens in, logits over the vocabulary out.

    Parameters are named by their place, such as ``blocks.0.attention.q.kernel``. With
    ``scan_layers`` there is one block whose parameters have a leading axis for the layer
    (``blocks.attention.q.kernel``); their values from one seed are the same.

    Raises:
        ConfigError: when ``scan_layers`` meets a shape whose layers differ.
    """

    def __init__(
        self,
        shape: ModelConfig,
        *,
        dtype: jnp.dtype,
        implementation: Implementation,
        rngs: nnx.Rngs,
        remat: Remat = "none",
        scan_layers: bool = False,
        dropout: float = 0.0,
    ) -> None:
        self.shape, self.dtype = shape, dtype
        self.remat, self.scan_layers = remat, scan_layers
        self.embedding = nnx.Param(0.02 * jax.random.normal(rngs.params(), (shape.vocab_size, shape.width)))
        keys = jax.random.split(rngs.params(), shape.layers)

        def block(layer: int, key: jax.Array) -> Block:
            return Block(
                shape,
                layer,
                dtype=dtype,
                implementation=implementation,
                rngs=nnx.Rngs(params=key),
                dropout=dropout,
            )

        if scan_layers and not shape.layers_are_alike:
            raise ConfigError(
                f"scan_layers: the layers of this model differ (window {shape.window}, but none in every "
                f"layer whose number {shape.global_every} divides). Set scan_layers=false."
            )
        self.blocks: Any = _blocks(block, keys, stacked=scan_layers)
        self.norm = RMSNorm(shape.width, shape)
        self.output = None if shape.tied else Linear(shape.width, shape.vocab_size, dtype=dtype, rngs=rngs)

    def __call__(
        self,
        tokens: jax.Array,
        *,
        segments: jax.Array | None = None,
        reach: int | None = None,
        max_segments: int | None = None,
        key: jax.Array | None = None,
    ) -> jax.Array:
        """Return fp32 logits (B, T, vocabulary) for tokens (B, T); the rest as in `features`."""
        features = self.features(tokens, segments=segments, reach=reach, max_segments=max_segments, key=key)
        return self._logits(features)

    def features(
        self,
        tokens: jax.Array,
        *,
        segments: jax.Array | None = None,
        reach: int | None = None,
        max_segments: int | None = None,
        key: jax.Array | None = None,
    ) -> jax.Array:
        """Return what the output matrix is applied to, (B, T, D) in ``dtype``, for tokens (B, T).

        ``segments`` (B, T) tells apart the traces of a row, which cannot see each other and whose
        positions start at 0; none: one trace a row. ``reach`` promises that no trace is longer,
        ``max_segments`` that no row holds more of them.
        ``key`` draws what dropout leaves out; none: no dropout.
        """
        x = self._embed(tokens)
        place = jnp.arange(tokens.shape[1])[None, :] if segments is None else positions_of(segments)
        turns = rotations(place, self.shape)

        def run(
            block: Block,
            x: jax.Array,
            layer: int | jax.Array,
            turns: Rotations,
            segments: jax.Array | None,
            key: jax.Array | None,
        ) -> jax.Array:
            own_key = None if key is None else jax.random.fold_in(key, layer)
            return block(x, turns, segments=segments, reach=reach, max_segments=max_segments, key=own_key)[0]

        if self.scan_layers:
            graph, stacked = nnx.split(self.blocks)

            def step(x: jax.Array, here: tuple[Any, jax.Array]) -> tuple[jax.Array, None]:
                parameters, layer = here
                return self._remembering(run, graph)(parameters, x, layer, turns, segments, key), None

            x = jax.lax.scan(step, x, (stacked, jnp.arange(self.shape.layers)))[0]
        else:
            for layer, block in enumerate(self.blocks):
                graph, parameters = nnx.split(block)
                x = self._remembering(run, graph)(parameters, x, layer, turns, segments, key)
        return self.norm(x)

    def output_matrix(self) -> jax.Array:
        """Return the matrix (D, vocabulary) in ``dtype`` that turns features into logits.

        ``shape.final_soft_cap`` still applies to its product.
        """
        if self.output is None:
            return self.embedding[...].astype(self.dtype).T
        matrix: jax.Array = self.output.kernel[...]
        return matrix.astype(self.dtype)

    def prefill(
        self, tokens: jax.Array, sizes: jax.Array, capacity: int
    ) -> tuple[jax.Array, list[LayerCache]]:
        """Read prompts (B, T), padded on the right, of the given sizes (B,).

        Returns the logits (B, vocabulary) after each prompt's last token and caches with
        room for ``capacity`` positions. What padding left there lies past the row's position
        and is overwritten before it becomes visible.
        """
        x = self._embed(tokens)
        turns = rotations(jnp.arange(tokens.shape[1])[None, :], self.shape)
        room = ((0, 0), (0, capacity - tokens.shape[1]), (0, 0), (0, 0))
        caches = []
        for block in self._each_block():
            x, cache = block(x, turns)
            caches.append(LayerCache(jnp.pad(cache.k, room), jnp.pad(cache.v, room)))
        last = jnp.take_along_axis(x, (sizes - 1)[:, None, None], axis=1)
        return self._logits(self.norm(last))[:, 0], caches

    def decode(
        self, tokens: jax.Array, positions: jax.Array, caches: list[LayerCache]
    ) -> tuple[jax.Array, list[LayerCache]]:
        """Read one token a row (B,) at its position (B,); return logits (B, vocabulary) and caches."""
        x = self._embed(tokens[:, None])
        turns = rotations(positions[:, None], self.shape)
        grown = []
        for block, cache in zip(self._each_block(), caches, strict=True):
            x, cache = block.decode(x, turns, positions, cache)  # noqa: PLW2901 (the layer's cache, one further)
            grown.append(cache)
        return self._logits(self.norm(x))[:, 0], grown

    @jax.named_scope("embedding")
    def _embed(self, tokens: jax.Array) -> jax.Array:
        x = self.embedding[...][tokens].astype(self.dtype)
        # The factor is rounded to the type of the activations, as in the models trained with it.
        return x * jnp.asarray(self.shape.width**0.5, self.dtype) if self.shape.embedding_scale else x

    def _logits(self, features: jax.Array) -> jax.Array:
        logits = matmul(features, self.output_matrix()).astype(jnp.float32)
        cap = self.shape.final_soft_cap
        return logits if cap is None else cap * jnp.tanh(logits / cap)

    def _remembering(self, run: Callable[..., jax.Array], graph: Any) -> Callable[..., jax.Array]:
        """Make a function of a block's parameters that keeps for its gradient what ``remat`` says."""

        def merged(parameters: Any, *rest: Any) -> jax.Array:
            return run(nnx.merge(graph, parameters), *rest)

        if self.remat == "none":
            return merged
        # Inside a scan the loop itself keeps the compiler from undoing the recomputation.
        return jax.checkpoint(merged, policy=_KEPT[self.remat], prevent_cse=not self.scan_layers)

    def _each_block(self) -> list[Block]:
        if not self.scan_layers:
            return list(self.blocks)
        graph, stacked = nnx.split(self.blocks)
        return [nnx.merge(graph, _slice(stacked, layer)) for layer in range(self.shape.layers)]


def _blocks(block: Callable[[int, jax.Array], Block], keys: jax.Array, *, stacked: bool) -> Any:
    """Make a list of blocks, or one that holds the parameters of all layers side by side.

    Either way they are drawn in a loop, so that the program that draws them has the size of one
    block, and the values do not depend on the choice.
    """
    parameters = jax.lax.map(lambda key: nnx.split(block(0, key))[1], keys)

    def graph(layer: int) -> nnx.GraphDef[Block]:
        return nnx.split(nnx.eval_shape(lambda: block(layer, jax.random.key(0))))[0]

    if stacked:
        return nnx.merge(graph(0), parameters)
    return nnx.List([nnx.merge(graph(i), _slice(parameters, i)) for i in range(keys.shape[0])])


def _slice(stacked: Any, layer: int) -> Any:
    return jax.tree.map(lambda leaf: leaf[layer], stacked)
