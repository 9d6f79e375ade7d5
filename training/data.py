"""Traces as padded rows, and which of them each update sees.

The order of rows is a pure function of (seed, position): every epoch is a permutation of
its own, and batches run on over the border of epochs. A resumed run therefore needs no
stored data position, its step says it all. Needs numpy, no JAX.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from training.errors import ConfigError
from training.examples import TraceExample
from training.rendering import Target, completion_text, prompt_text
from training.tokenizer import TOKENIZER

IntArray = npt.NDArray[np.int32]

WIDTH_MULTIPLE: Final = 8


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows for one update.

    ``inputs`` and ``targets`` have shape (rows, width); a target is the token after its
    input. ``weights`` is 1.0 where the target is supervised, else 0.0. ``real_tokens``
    counts the positions whose target is no padding.
    """

    inputs: IntArray
    targets: IntArray
    weights: npt.NDArray[np.float32]
    real_tokens: int


@dataclass(frozen=True, slots=True)
class Rows:
    """All examples as tokens, padded to one width.

    ``tokens`` has shape (examples, width + 1); row i holds ``prompt_sizes[i]`` prompt
    tokens and ends with EOS at ``sizes[i] - 1``.
    """

    tokens: npt.NDArray[np.uint16]
    prompt_sizes: IntArray
    sizes: IntArray

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def width(self) -> int:
        """Positions that the model sees of each row."""
        return int(self.tokens.shape[1]) - 1

    def batch(self, indices: npt.NDArray[np.int64]) -> Batch:
        """Cut the given rows into inputs, targets and weights (completion and EOS only)."""
        tokens = self.tokens[indices].astype(np.int32)
        target_positions = np.arange(1, self.width + 1)
        prompt_sizes, sizes = self.prompt_sizes[indices, None], self.sizes[indices, None]
        supervised = (target_positions >= prompt_sizes) & (target_positions < sizes)
        return Batch(
            inputs=tokens[:, :-1],
            targets=tokens[:, 1:],
            weights=supervised.astype(np.float32),
            # A row of n tokens has n - 1 positions with a next token.
            real_tokens=int(np.sum(sizes - 1)),
        )


def build_rows(
    examples: Sequence[TraceExample],
    *,
    target: Target,
    sequence_length: int,
    split: str = "train",
    width: int | None = None,
) -> Rows:
    """Tokenise the examples and pad them to the longest one, rounded up to a multiple of 8.

    ``width`` sets the number of positions instead, so that splits can share a shape.

    Raises:
        ConfigError: for no examples, or rows longer than ``sequence_length`` (how many, how
            long, what to set).
    """
    if not examples:
        raise ConfigError(f"There is no {split} example in the dataset; seed or import one that has some.")
    prompts = [TOKENIZER.encode(prompt_text(example.prompt)) for example in examples]
    rows = [
        prompt + TOKENIZER.encode(completion_text(example, target)) + [TOKENIZER.eos]
        for prompt, example in zip(prompts, examples, strict=True)
    ]
    sizes = np.array([len(row) for row in rows], dtype=np.int32)
    longest, too_long = int(sizes.max()), int((sizes > sequence_length).sum())
    if too_long:
        raise ConfigError(
            f"{too_long} of {len(rows)} {split} traces are longer than sequence_length={sequence_length} "
            f"tokens; the longest has {longest}. Set sequence_length={longest} or more, "
            "for example --set sequence_length=" + str(round_up(longest)) + "."
        )
    width = round_up(longest - 1) if width is None else width
    if width < longest - 1:
        raise ConfigError(f"{split} rows need {longest - 1} positions, and only {width} are given.")
    tokens = np.full((len(rows), width + 1), TOKENIZER.pad, dtype=np.uint16)
    for i, row in enumerate(rows):
        tokens[i, : len(row)] = row
    return Rows(tokens, np.array([len(prompt) for prompt in prompts], dtype=np.int32), sizes)


def require_supervision(rows: Rows) -> None:
    """Refuse rows without a supervised target: they would train to a loss of 0 and learn nothing.

    Raises:
        ConfigError: naming the first such rows.
    """
    bare = np.flatnonzero(rows.sizes <= np.maximum(rows.prompt_sizes, 1))
    if len(bare):
        named = ", ".join(str(int(i)) for i in bare[:5])
        raise ConfigError(f"{len(bare)} training rows supervise no token (rows {named}); remove them.")


def prompt_overlap(train: Sequence[TraceExample], test: Sequence[TraceExample]) -> int:
    """Count the test examples whose prompt text also stands in the training examples."""
    seen = {example.prompt for example in train}
    return sum(example.prompt in seen for example in test)


def longest_completion(examples: Sequence[TraceExample], target: Target) -> int:
    """Return the tokens of the longest completion, its EOS counted; 0 without examples."""
    return max((len(TOKENIZER.encode(completion_text(e, target))) + 1 for e in examples), default=0)


def batch_indices(*, rows: int, batch_size: int, seed: int, step: int) -> npt.NDArray[np.int64]:
    """Return the rows that the update with this 0-based number sees, in order."""
    first = step * batch_size
    parts: list[npt.NDArray[np.int64]] = []
    missing = batch_size
    while missing:
        epoch, offset = divmod(first, rows)
        part = epoch_order(rows=rows, seed=seed, epoch=epoch)[offset : offset + missing]
        parts.append(part)
        first, missing = first + len(part), missing - len(part)
    return np.concatenate(parts)


def epoch_order(*, rows: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """Return the permutation of the rows for one epoch.

    It sorts raw output of Philox, whose stream numpy guarantees across versions, which it
    does not for its shuffles.
    """
    key = (seed, epoch)
    if key not in _orders or len(_orders[key]) != rows:
        draws = np.random.Philox(np.random.SeedSequence([seed, epoch])).random_raw(rows)
        _orders.clear()
        _orders[key] = np.argsort(draws, kind="stable")
    return _orders[key]


# The order of the epoch in use; sorting anew at every update would cost as much as a small step.
_orders: dict[tuple[int, int], npt.NDArray[np.int64]] = {}


def choose_subset[T](examples: Sequence[T], *, limit: int, seed: int) -> list[T]:
    """Choose the same ``limit`` examples each time, in their order; a larger limit keeps the smaller's."""
    if not examples:
        return []
    order = epoch_order(rows=len(examples), seed=seed, epoch=0)
    return [examples[i] for i in np.sort(order[:limit])]


def round_up(size: int, multiple: int = WIDTH_MULTIPLE) -> int:
    """Round up to a multiple, at least one."""
    return max(1, -(-size // multiple)) * multiple
