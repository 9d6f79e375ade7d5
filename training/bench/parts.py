"""The parts of an update by themselves, and generation: how fast each runs."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import jax
import jax.numpy as jnp

from training.accumulation import accumulated_gradients
from training.assembly import Assembly, TrainState, join
from training.bench.timing import repeated, seconds_of, spread
from training.data import AnyRows
from training.decoding import make_decoding
from training.generate import Generator
from training.step import DeviceBatch, make_loss

GENERATED_TOKENS: Final = 64
GENERATED_ROWS: Final = 16


def time_parts(
    assembly: Assembly,
    rows: AnyRows,
    state: TrainState,
    batch: DeviceBatch,
    *,
    micro_batch: int,
    repeats: int,
) -> dict[str, dict[str, float]]:
    """Time the forward pass alone, and forward and backward without the optimizer (s, as `spread`)."""
    loss_of, parts = make_loss(assembly, rows), batch.inputs.shape[0] // micro_batch

    def split(leaf: jax.Array) -> jax.Array:
        return leaf.reshape(parts, micro_batch, *leaf.shape[1:])

    def forward(params: Any, frozen: Any, batch: DeviceBatch) -> jax.Array:
        def loss(part: DeviceBatch) -> jax.Array:
            return loss_of(join(params, frozen), part, None).loss

        return jnp.sum(jax.lax.map(loss, jax.tree.map(split, batch)))

    def backward(params: Any, frozen: Any, batch: DeviceBatch) -> Any:
        return accumulated_gradients(
            lambda params, part, _: loss_of(join(params, frozen), part, None),
            params,
            batch,
            micro_batches=parts,
        )

    found = {}
    for name, function in (("forward", forward), ("forward_backward", backward)):
        work = partial(jax.jit(function), state.params, state.frozen, batch)
        seconds_of(work)
        found[name] = spread(list(repeated(work, times=repeats)))
    return found


def time_generation(assembly: Assembly, params: Any, prompts: Sequence[str]) -> dict[str, float]:
    """Time writing after some prompts, greedily, in one batch; compiling is not counted.

    A model may end its texts early; ``tokens`` are those that it really wrote.
    """
    generator, decoding = Generator(assembly), make_decoding({"max_new_tokens": GENERATED_TOKENS})
    chosen = list(prompts[:GENERATED_ROWS])

    def write() -> int:
        texts = generator(params, chosen, decoding=decoding, batch_size=GENERATED_ROWS)
        return sum(text.tokens for text in texts)

    write()
    seconds, tokens = seconds_of(write)
    return {
        "prompts": len(chosen),
        "max_new_tokens": GENERATED_TOKENS,
        "tokens": tokens,
        "seconds": seconds,
        "tokens_per_second": tokens / seconds,
    }
