"""Generation for many prompts at once, with a KV cache.

Programs are compiled once per bucket of (rows, prompt width, room for new tokens); the decoding
loop runs on the device in stretches, between which the host looks whether all rows have ended
or somebody asked for a stop.
"""

from collections.abc import Callable, Container, Iterator, Sequence
from functools import partial
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
from training.decoding import Decoding, GeneratedText
from training.device import SelectedDevice
from training.layers import LayerCache
from training.sampling import Sampler, Words, choose_tokens, make_sampler, name_rows, row_keys
from training.text_form import TextForm

STRETCH: Final = 32
BUCKETS_A_DOUBLING: Final = 4


class StopRequestedError(Exception):
    """Somebody asked for a stop in the middle of generation or evaluation."""


# Number of a text among those that are asked for, and how far it is.
type OnText = Callable[[int, GeneratedText], None]


class _Prompts(NamedTuple):
    """One batch: tokens (rows, width), sizes (rows,), which rows only fill it (rows,), names (rows, 3)."""

    tokens: Any
    sizes: Any
    idle: Any
    names: Any


class _Progress(NamedTuple):
    """The decoding loop's state; ``written`` is (rows, room), the rest has one entry a row.

    ``limit`` and ``sampler`` never change; they travel with the rest as values, not as
    constants of the program.
    """

    token: jax.Array
    position: jax.Array
    done: jax.Array
    written: jax.Array
    length: jax.Array
    caches: list[LayerCache]
    keys: jax.Array
    limit: jax.Array
    sampler: Sampler


class Generator:
    """Generates with one model; keeps its compiled programs between calls."""

    def __init__(self, assembly: Assembly) -> None:
        self._assembly = assembly
        self._begin = jax.jit(self._prefill, static_argnames="room")
        self._continue = jax.jit(self._decode, donate_argnums=1)

    def __call__(
        self,
        params: Any,
        prompts: Sequence[str],
        *,
        decoding: Decoding,
        batch_size: int,
        should_stop: Callable[[], bool] = lambda: False,
        on_text: OnText | None = None,
    ) -> list[GeneratedText]:
        """Write after each prompt until EOS or ``decoding.max_new_tokens``.

        ``on_text`` hears after the first token and after each stretch how far each text is, by its
        number in what is returned; it changes nothing of what is written.

        Returns ``decoding.samples`` texts a prompt, prompt by prompt. What is drawn for one
        depends on the seed and that prompt alone, not on the others or on ``batch_size`` (as
        long as rounding leaves the model's logits alone); the same prompt given twice counts as
        one with twice the samples.

        Raises:
            StopRequestedError: as soon as ``should_stop`` is true.
        """
        batches = self.batches(
            params,
            prompts,
            decoding=decoding,
            batch_size=batch_size,
            should_stop=should_stop,
            on_text=on_text,
        )
        return [text for _, texts in batches for text in texts]

    def batches(
        self,
        params: Any,
        prompts: Sequence[str],
        *,
        decoding: Decoding,
        batch_size: int,
        should_stop: Callable[[], bool] = lambda: False,
        skip: Container[int] = (),
        on_text: OnText | None = None,
    ) -> Iterator[tuple[int, list[GeneratedText]]]:
        """Write as a call does, giving each batch as it is done, with the number of its first text.

        Batches whose first text has a number in ``skip`` are left out; the others hold the same rows
        all the same, so that nothing of them depends on it.

        Raises:
            StopRequestedError: as soon as ``should_stop`` is true.
        """
        form = self._assembly.form
        encoded = [form.prompt(prompt) for prompt in prompts]
        if not encoded:
            return
        names = name_rows(encoded, decoding.samples)
        repeated = [tokens for tokens in encoded for _ in range(decoding.samples)]
        width = bucket(max(len(tokens) for tokens in encoded))
        rows = batch_rows(len(repeated), batch_size)
        for start in range(0, len(repeated), rows):
            if start in skip:
                continue
            part = slice(start, start + rows)
            batch = _pad(repeated[part], names[part], rows=rows, width=width, pad=form.pad)
            tell = None if on_text is None else partial(_tell, form, on_text, start, len(repeated[part]))
            written = self._write(params, batch, decoding=decoding, should_stop=should_stop, tell=tell)
            yield start, [_to_text(form, tokens) for tokens in written[: len(repeated[part])]]

    def _write(
        self,
        params: Any,
        batch: _Prompts,
        *,
        decoding: Decoding,
        should_stop: Callable[[], bool],
        tell: Callable[[list[list[int]]], None] | None,
    ) -> list[list[int]]:
        limit, sampler = np.int32(decoding.max_new_tokens), make_sampler(decoding)
        placed = jax.device_put((batch, limit, sampler), self._assembly.device)
        progress = self._begin(params, *placed, room=bucket(decoding.max_new_tokens))
        while True:
            if should_stop():
                raise StopRequestedError
            if tell is not None:
                tell(_written(progress))
            if bool(jnp.all(progress.done)):
                return _written(progress)
            progress = self._continue(params, progress)

    def _prefill(
        self, params: Any, batch: _Prompts, limit: jax.Array, sampler: Sampler, *, room: int
    ) -> _Progress:
        rows, width = batch.tokens.shape
        logits, caches = self._assembly.model(params).prefill(batch.tokens, batch.sizes, width + room)
        first = _Progress(
            token=batch.sizes,
            position=batch.sizes,
            done=batch.idle,
            written=jnp.full((rows, room), self._assembly.form.pad, jnp.int32),
            length=jnp.zeros_like(batch.sizes),
            caches=caches,
            keys=row_keys(sampler.seed, batch.names),
            limit=limit,
            sampler=sampler,
        )
        return self._take(first, logits)

    def _decode(self, params: Any, progress: _Progress) -> _Progress:
        model = self._assembly.model(params)

        def unfinished(carry: tuple[jax.Array, _Progress]) -> jax.Array:
            return (carry[0] < STRETCH) & ~jnp.all(carry[1].done)

        def write_one(carry: tuple[jax.Array, _Progress]) -> tuple[jax.Array, _Progress]:
            i, now = carry
            logits, caches = model.decode(now.token, now.position, now.caches)
            # Rows that have ended stay where they are; what they compute is thrown away.
            moved = now._replace(position=jnp.where(now.done, now.position, now.position + 1), caches=caches)
            return i + 1, self._take(moved, logits)

        return jax.lax.while_loop(unfinished, write_one, (jnp.int32(0), progress))[1]

    def _take(self, progress: _Progress, logits: jax.Array) -> _Progress:
        """Append the next token to each row that has not ended."""
        form = self._assembly.form
        # Rows of the table beyond the tokenizer's ids mean nothing.
        known = logits[:, : form.vocab_size]
        token = choose_tokens(known, progress.keys, progress.length, progress.sampler)
        rows = jnp.arange(token.shape[0])
        kept = jnp.where(progress.done, progress.written[rows, progress.length - 1], token)
        slot = jnp.where(progress.done, progress.length - 1, progress.length)
        count = jnp.where(progress.done, progress.length, progress.length + 1)
        ended = jnp.any(token[:, None] == jnp.asarray(form.ends), axis=1)
        written = progress.written.at[rows, slot].set(kept)
        return progress._replace(
            token=token,
            done=progress.done | ended | (count >= progress.limit),
            written=written,
            length=count,
        )


def _pad(prompts: Sequence[Sequence[int]], names: Words, *, rows: int, width: int, pad: int) -> _Prompts:
    tokens = np.full((rows, width), pad, dtype=np.int32)
    sizes = np.ones(rows, dtype=np.int32)
    for i, prompt in enumerate(prompts):
        tokens[i, : len(prompt)] = prompt
        sizes[i] = len(prompt)
    # Rows that only fill the bucket count as ended.
    idle = np.arange(rows) >= len(prompts)
    return _Prompts(tokens, sizes, idle, np.pad(names, ((0, rows - len(prompts)), (0, 0))))


def batch_rows(texts: int, batch_size: int) -> int:
    """Give the texts that are written together, of so many in all: the batch size, or all of few."""
    return min(batch_size, 1 << (texts - 1).bit_length())


def bucket(size: int) -> int:
    """Round a size up to one of few: multiples of 8 to 64, then four sizes a doubling (at most 25 % over).

    So the number of programs grows with the logarithm of what is asked, and what a wide bucket
    wastes stays small.
    """
    return round_up(size, max(8, (1 << (size - 1).bit_length()) // (2 * BUCKETS_A_DOUBLING)))


def _written(progress: _Progress) -> list[list[int]]:
    """Fetch what each row has written so far."""
    written, counts = jax.device_get((progress.written, progress.length))
    return [row[:count].tolist() for row, count in zip(written, counts, strict=True)]


def _ended(form: TextForm, tokens: list[int]) -> bool:
    return bool(tokens) and tokens[-1] in form.ends


def _to_text(form: TextForm, tokens: list[int]) -> GeneratedText:
    return GeneratedText(form.decode(tokens), len(tokens), _ended(form, tokens))


def _tell(form: TextForm, on_text: OnText, first: int, count: int, written: list[list[int]]) -> None:
    for number, tokens in enumerate(written[:count], start=first):
        text = GeneratedText(form.decode_begun(tokens), len(tokens), _ended(form, tokens))
        on_text(number, text)


def generate_text(
    *,
    step_dir: Path,
    prompts: Sequence[str],
    decoding: Decoding,
    device: SelectedDevice,
    cache_dir: Path | None = None,
) -> list[GeneratedText]:
    """Load a checkpoint's parameters and write after each prompt, as `Generator` does.

    Raises:
        CheckpointError: when the checkpoint cannot be used.
    """
    use_cache(cache_dir)
    config = make_config(read_metadata(step_dir)["config"])
    with jax.default_device(device.device):
        assembly = assemble(config, device.device)
        params = restore_params(step_dir, assembly=assembly)
        generator = Generator(assembly)
        return generator(params, prompts, decoding=decoding, batch_size=config.eval_batch_size)
