"""From traces to rows, and which of them each update sees.

The order of rows is a pure function of (seed, position): every epoch is a permutation of
its own, and batches run on over the border of epochs. A resumed run therefore needs no
stored data position, its step says it all. Needs numpy, no JAX.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from training.config import TrainConfig
from training.errors import ConfigError
from training.examples import TraceExample
from training.guards import require_supervision
from training.packing import pack
from training.packing_cache import cached
from training.rendering import Target
from training.rows import AnyRows, Batch, Rows
from training.text_form import BYTES, TextForm, text_form
from training.tokenized import Traces, fit, round_up, tokenize

__all__ = [
    "AnyRows",
    "Batch",
    "Rows",
    "batch_indices",
    "build_rows",
    "choose_subset",
    "epoch_order",
    "longest_completion",
    "make_rows",
    "prompt_overlap",
    "require_supervision",
    "round_up",
]


def make_rows(
    examples: Sequence[TraceExample],
    config: TrainConfig,
    *,
    content_hash: str,
    cache_dir: Path | None,
    split: str = "train",
) -> AnyRows:
    """Tokenise the examples and lay them out as the recipe says: packed, or one trace a row.

    Packed rows are computed once and kept under ``cache_dir``; without one, or without the
    dataset's ``content_hash``, they are made in memory.

    Raises:
        ConfigError: for no examples, or traces that are too long where the recipe refuses them.
    """

    form = text_form(config)

    def fitting() -> Traces:
        return fit(
            tokenize(examples, target=config.target, split=split, form=form),
            sequence_length=config.sequence_length,
            long_traces=config.long_traces,
            split=split,
        )

    if not config.packing:
        traces = fitting()
        return Rows(traces, round_up(int(traces.positions.max())))
    if cache_dir is None or not content_hash:
        return pack(fitting(), config.sequence_length)
    return cached(
        lambda: pack(fitting(), config.sequence_length),
        cache_dir=cache_dir,
        examples=examples,
        form=form,
        facts={
            "content_hash": content_hash,
            "split": split,
            "target": config.target,
            "sequence_length": config.sequence_length,
            "long_traces": config.long_traces,
        },
    )


def build_rows(
    examples: Sequence[TraceExample],
    *,
    target: Target,
    sequence_length: int | None,
    split: str = "train",
    width: int | None = None,
    form: TextForm = BYTES,
) -> Rows:
    """Tokenise the examples and pad them to the longest one, rounded up to a multiple of 8.

    ``width`` sets the number of positions instead, so that splits can share a shape;
    ``sequence_length`` bounds the longest trace, None does not.

    Raises:
        ConfigError: for no examples, or traces longer than ``sequence_length`` allows (how many,
            how long, what to set).
    """
    traces = tokenize(examples, target=target, split=split, form=form)
    if sequence_length is not None:
        traces = fit(traces, sequence_length=sequence_length, long_traces="refuse", split=split)
    needed = int(traces.positions.max())
    width = round_up(needed) if width is None else width
    if width < needed:
        raise ConfigError(f"{split} rows need {needed} positions, and only {width} are given.")
    return Rows(traces, width)


def prompt_overlap(train: Sequence[TraceExample], test: Sequence[TraceExample]) -> int:
    """Count the test examples whose prompt text also stands in the training examples."""
    seen = {example.prompt for example in train}
    return sum(example.prompt in seen for example in test)


def longest_completion(examples: Sequence[TraceExample], target: Target, form: TextForm = BYTES) -> int:
    """Return the tokens of the longest completion, its end counted; 0 without examples."""
    traces = (form.trace(example, target) for example in examples)
    return max((len(tokens) - before for tokens, before in traces), default=0)


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
