"""What all contenders train, and how they are told to: the same sizes, data and arithmetic.

Imports nothing but the standard library, for each contender runs under an interpreter of its own.
A contender prepares itself (compiling, warm-up), prints one JSON line of facts, and then answers
every line ``N`` on its input with one JSON line: the seconds of N updates, each waited for.
"""

import json
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

BETAS = (0.9, 0.99)
EPSILON = 1e-8
DECAY = 0.1
CLIP = 1.0
RATE = 1e-3
WARMUP_UPDATES = 3
PRODUCT_SIZE = 2048


@dataclass(frozen=True)
class Shape:
    """A decoder-only transformer (RMSNorm, RoPE, SwiGLU, tied embeddings) and its batch, fp32."""

    layers: int
    width: int
    heads: int
    mlp_width: int
    vocabulary: int
    length: int
    batch: int

    @property
    def tokens(self) -> int:
        """Positions of one update."""
        return self.length * self.batch

    @property
    def parameters(self) -> int:
        """Trainable numbers; the table serves both ends."""
        block = 4 * self.width**2 + 3 * self.width * self.mlp_width + 2 * self.width
        return self.vocabulary * self.width + self.layers * block + self.width

    @property
    def flops(self) -> int:
        """Operations of one update: 6 a token and weight in a product, the output product counted and the
        lookup not; attention's two products counted causal, that is half of full."""
        weights = self.layers * (4 * self.width**2 + 3 * self.width * self.mlp_width)
        weights += self.vocabulary * self.width
        return 6 * self.tokens * (weights + self.layers * self.length * self.width)


SHAPES = {
    "d128": Shape(layers=4, width=128, heads=4, mlp_width=336, vocabulary=512, length=256, batch=16),
    "d384": Shape(layers=6, width=384, heads=6, mlp_width=1024, vocabulary=8192, length=256, batch=8),
}


def token_rows(shape: Shape) -> list[list[int]]:
    """Draw the rows of the one batch, one token longer than a row of inputs."""
    source = random.Random(0)  # noqa: S311 (data, no secret)
    return [[source.randrange(shape.vocabulary) for _ in range(shape.length + 1)] for _ in range(shape.batch)]


def compete(update: Callable[[], Any], product: Callable[[], Any], facts: dict[str, Any]) -> None:
    """Warm up, tell the facts, and do updates as asked until the input ends.

    Both functions return when their result is there; ``product`` multiplies two square fp32
    matrices of `PRODUCT_SIZE`, once.
    """
    began = time.perf_counter()
    loss = [update() for _ in range(WARMUP_UPDATES)][-1]
    told = {**facts, "warmup_s": time.perf_counter() - began, "loss_after_warmup": loss}
    print(json.dumps(told), flush=True)
    for line in sys.stdin:
        kind, count = line.split()
        run, seconds = update if kind == "update" else product, []
        for _ in range(int(count)):
            began = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - began)
        print(json.dumps(seconds), flush=True)
