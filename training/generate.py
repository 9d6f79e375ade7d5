"""Greedy generation for many prompts at once, with a KV cache.

Programs are compiled once per bucket of (rows, prompt width, capacity); the decoding loop
runs on the device in stretches, between which the host looks whether all rows have ended
or somebody asked for a stop.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from training.assembly import Assembly, assemble
from training.checkpoint_store import restore_params
from training.checkpoints import read_metadata
from training.compile_cache import use_cache
from training.config import make_config
from training.data import round_up
from training.device import SelectedDevice
from training.errors import ConfigError
from training.layers import LayerCache
from training.rendering import prompt_text
from training.tokenizer import TOKENIZER

STRETCH: Final = 32


class StopRequestedError(Exception):
    """Somebody asked for a stop in the middle of generation or evaluation."""


@dataclass(frozen=True, slots=True)
class GeneratedText:
    """What the model wrote after one prompt; ``tokens`` counts its tokens, EOS included."""

    text: str
    tokens: int
    stopped_at_eos: bool


class _Progress(NamedTuple):
    """The decoding loop's state; ``written`` is (rows, capacity), the rest has one entry a row."""

    token: jax.Array
    position: jax.Array
    done: jax.Array
    written: jax.Array
    length: jax.Array
    caches: list[LayerCache]


class Generator:
    """Generates with one model; keeps its compiled programs between calls."""

    def __init__(self, assembly: Assembly) -> None:
        self._assembly = assembly
        self._begin = jax.jit(self._prefill, static_argnames=("capacity", "new"))
        self._continue = jax.jit(self._decode, static_argnames=("new",), donate_argnums=1)

    def __call__(
        self,
        params: Any,
        prompts: Sequence[str],
        *,
        max_new_tokens: int,
        batch_size: int,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> list[GeneratedText]:
        """Write greedily after each prompt until EOS or ``max_new_tokens``.

        Raises:
            StopRequestedError: as soon as ``should_stop`` is true.
        """
        encoded = [TOKENIZER.encode(prompt_text(prompt)) for prompt in prompts]
        if not encoded:
            return []
        width = round_up(max(len(tokens) for tokens in encoded))
        rows = min(batch_size, 1 << (len(encoded) - 1).bit_length())
        texts: list[GeneratedText] = []
        for start in range(0, len(encoded), rows):
            part = encoded[start : start + rows]
            texts += self._batch(
                params, part, rows=rows, width=width, new=max_new_tokens, should_stop=should_stop
            )
        return texts

    def _batch(
        self,
        params: Any,
        prompts: Sequence[Sequence[int]],
        *,
        rows: int,
        width: int,
        new: int,
        should_stop: Callable[[], bool],
    ) -> list[GeneratedText]:
        tokens = np.full((rows, width), TOKENIZER.pad, dtype=np.int32)
        sizes = np.ones(rows, dtype=np.int32)
        for i, prompt in enumerate(prompts):
            tokens[i, : len(prompt)] = prompt
            sizes[i] = len(prompt)
        idle = np.arange(rows) >= len(prompts)  # rows that only fill the bucket count as ended
        placed = jax.device_put((tokens, sizes, idle), self._assembly.device)
        progress = self._begin(params, *placed, capacity=round_up(width + new), new=new)
        while True:
            if should_stop():
                raise StopRequestedError
            if bool(jnp.all(progress.done)):
                break
            progress = self._continue(params, progress, new=new)
        written, counts = jax.device_get((progress.written, progress.length))
        return [_to_text(written[i, : counts[i]].tolist()) for i in range(len(prompts))]

    def _prefill(
        self, params: Any, tokens: jax.Array, sizes: jax.Array, idle: jax.Array, *, capacity: int, new: int
    ) -> _Progress:
        logits, caches = self._assembly.model(params).prefill(tokens, sizes, capacity)
        written = jnp.full((tokens.shape[0], new), TOKENIZER.pad, jnp.int32)
        first = _Progress(sizes, sizes, idle, written, jnp.zeros_like(sizes), caches)
        return _take(first, logits, new)

    def _decode(self, params: Any, progress: _Progress, *, new: int) -> _Progress:
        model = self._assembly.model(params)

        def unfinished(carry: tuple[jax.Array, _Progress]) -> jax.Array:
            return (carry[0] < STRETCH) & ~jnp.all(carry[1].done)

        def write_one(carry: tuple[jax.Array, _Progress]) -> tuple[jax.Array, _Progress]:
            i, now = carry
            logits, caches = model.decode(now.token, now.position, now.caches)
            # Rows that have ended stay where they are; what they compute is thrown away.
            moved = now._replace(position=jnp.where(now.done, now.position, now.position + 1), caches=caches)
            return i + 1, _take(moved, logits, new)

        return jax.lax.while_loop(unfinished, write_one, (jnp.int32(0), progress))[1]


def _take(progress: _Progress, logits: jax.Array, new: int) -> _Progress:
    """Append the likeliest token to each row that has not ended."""
    # Rows of the table beyond the tokenizer's ids mean nothing.
    token = jnp.argmax(logits[:, : TOKENIZER.vocab_size], axis=-1).astype(jnp.int32)
    rows = jnp.arange(token.shape[0])
    kept = jnp.where(progress.done, progress.written[rows, progress.length - 1], token)
    slot = jnp.where(progress.done, progress.length - 1, progress.length)
    count = jnp.where(progress.done, progress.length, progress.length + 1)
    done = progress.done | (token == TOKENIZER.eos) | (count >= new)
    written = progress.written.at[rows, slot].set(kept)
    return progress._replace(token=token, done=done, written=written, length=count)


def _to_text(tokens: list[int]) -> GeneratedText:
    ended = bool(tokens) and tokens[-1] == TOKENIZER.eos
    return GeneratedText(TOKENIZER.decode(tokens), len(tokens), ended)


def generate_text(
    *,
    step_dir: Path,
    prompts: Sequence[str],
    max_new_tokens: int,
    device: SelectedDevice,
    cache_dir: Path | None = None,
) -> list[GeneratedText]:
    """Load a checkpoint's parameters and write after each prompt.

    Raises:
        CheckpointError: when the checkpoint cannot be used.
        ConfigError: when ``max_new_tokens`` is not positive.
    """
    if max_new_tokens < 1:
        raise ConfigError(f"max_new_tokens must be at least 1, not {max_new_tokens}.")
    use_cache(cache_dir)
    config = make_config(read_metadata(step_dir)["config"])
    with jax.default_device(device.device):
        assembly = assemble(config, device.device)
        params = restore_params(step_dir, assembly=assembly)
        generator = Generator(assembly)
        return generator(params, prompts, max_new_tokens=max_new_tokens, batch_size=config.eval_batch_size)
