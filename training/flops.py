"""How many floating-point operations a model needs, from its structure alone. Imports no JAX.

Counted are the products of matrices, two operations for each multiply-add, as in Chowdhery et al.
(PaLM, arXiv 2204.02311, appendix B): the blocks' weights, the scores and sums of attention over the
positions that a query really sees (so half of a square for a causal row), and the product that gives the
logits. Looking up embeddings, norms, activations, rotary positions and the optimizer are not. A backward
pass takes twice its forward pass, but once for products with frozen matrices, which need no gradient of
their own; what rematerialisation computes again is no work of the model.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from training.model_config import ModelConfig

BACKWARD: Final = 2
CONVENTION: Final = (
    "matrix products, 2 operations a multiply-add; attention causal (what a query sees); logits counted, "
    "embedding lookup not; backward = 2 x forward, 1 x for frozen matrices; rematerialisation not counted"
)


@dataclass(frozen=True, slots=True)
class ForwardFlops:
    """Operations of one forward pass, by where they are spent; ``frozen``: only adapters are trained."""

    blocks: float
    attention: float
    logits: float
    frozen: bool = False
    adapters: float = 0.0

    @property
    def total(self) -> float:
        """All of them."""
        return self.blocks + self.attention + self.logits + self.adapters

    @property
    def update(self) -> float:
        """Those of one forward and one backward pass."""
        through_matrices = self.blocks + self.logits
        return (1 + BACKWARD) * self.total - (through_matrices if self.frozen else 0.0)


def forward_flops(shape: ModelConfig, lengths: Iterable[int], adapters: int | None = None) -> ForwardFlops:
    """Count the operations for sequences of these lengths (tokens), each of which sees only itself.

    ``adapters`` is the number of parameters of adapters beside frozen weights, None without any.
    """
    sizes = list(lengths)
    tokens = sum(sizes)
    queries, keys = shape.heads * shape.head_size, shape.kv_heads * shape.head_size
    weights = 2 * shape.width * (queries + keys) + 3 * shape.width * shape.mlp_width
    pairs = sum(seen_pairs(size, shape.window_of(layer)) for layer in range(shape.layers) for size in sizes)
    return ForwardFlops(
        blocks=2.0 * shape.layers * weights * tokens,
        # One product for the scores, one for the weighted sum of the values.
        attention=2.0 * 2.0 * queries * pairs,
        logits=2.0 * shape.width * shape.vocab_size * tokens,
        frozen=adapters is not None,
        adapters=2.0 * (adapters or 0) * tokens,
    )


def seen_pairs(length: int, window: int | None) -> int:
    """Count the pairs of a query and a position that it sees, its own included."""
    if window is None or window >= length:
        return length * (length + 1) // 2
    return window * (window + 1) // 2 + (length - window) * window
