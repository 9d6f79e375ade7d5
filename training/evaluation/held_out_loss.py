"""The loss of a model on held-out traces."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from training.assembly import Assembly
from training.config import TrainConfig
from training.data import Rows, build_rows
from training.examples import TraceExample
from training.generate import StopRequestedError
from training.loss_chunks import loss_chunk
from training.losses import chunked_cross_entropy
from training.step import DeviceBatch, to_device


class HeldOutLoss:
    """Measures the loss in nats per supervised token, by one program for any number of traces."""

    def __init__(self, assembly: Assembly, examples: Sequence[TraceExample], *, split: str) -> None:
        """Prepare; raises ConfigError for no examples or rows that are too long."""
        self._assembly, self._split = assembly, split
        # The rows of all examples share one width, so that every limit runs the same program.
        self._width = build_rows(
            examples,
            target=assembly.config.target,
            sequence_length=_longest(assembly.config),
            split=split,
            form=assembly.form,
        ).width
        self._loss_of = jax.jit(self._batch_loss)

    def __call__(self, params: Any, chosen: Sequence[TraceExample], should_stop: Callable[[], bool]) -> float:
        """Measure it on some of the traces.

        Raises:
            StopRequestedError: as soon as ``should_stop`` is true.
        """
        config = self._assembly.config
        rows = build_rows(
            chosen,
            target=config.target,
            sequence_length=_longest(config),
            split=self._split,
            width=self._width,
            form=self._assembly.form,
        )
        size = min(config.eval_batch_size, 1 << (len(rows) - 1).bit_length())
        total = weight = 0.0
        for start in range(0, len(rows), size):
            if should_stop():
                raise StopRequestedError
            part = self._loss_of(params, self._padded_batch(rows, start, size))
            part_total, part_weight = jax.device_get(part)
            total, weight = total + float(part_total), weight + float(part_weight)
        return total / weight

    def _padded_batch(self, rows: Rows, start: int, size: int) -> DeviceBatch:
        """Cut rows from ``start``; the last batch is filled up with row 0 at weight 0."""
        indices = np.arange(start, start + size)
        batch = rows.batch(np.where(indices < len(rows), indices, 0))
        batch.weights[indices >= len(rows)] = 0.0
        return to_device(batch, self._assembly.device)

    def _batch_loss(self, params: Any, batch: DeviceBatch) -> tuple[jax.Array, jax.Array]:
        config, shape = self._assembly.config, self._assembly.shape
        model = self._assembly.model(params)
        sums = chunked_cross_entropy(
            model.features(batch.inputs),
            model.output_matrix(),
            batch.targets,
            batch.weights,
            chunk=loss_chunk(config.loss_chunk, shape.vocab_size, batch.inputs.size),
            soft_cap=shape.final_soft_cap,
        )
        return sums.loss, sums.weight


def _longest(config: TrainConfig) -> int | None:
    """Bound held-out traces as training does, except that none is cut or left out: the loss is of all."""
    return config.sequence_length if config.long_traces == "refuse" else None
