"""Batches on their way to the device, the next one always prepared ahead."""

from typing import NamedTuple

import jax

from training.config import TrainConfig
from training.data import AnyRows, batch_indices
from training.step import DeviceBatch, to_device


class Fed(NamedTuple):
    """A batch on the device, and the real tokens in it."""

    arrays: DeviceBatch
    real_tokens: int


class Feed:
    """The batches of a run, each a pure function of the seed and the update's number."""

    def __init__(self, rows: AnyRows, config: TrainConfig, device: jax.Device) -> None:
        self._rows, self._config, self._device = rows, config, device
        self._ahead: tuple[int, Fed] | None = None

    def at(self, step: int) -> Fed:
        """Give the batch of the update with this 0-based number."""
        ahead, self._ahead = self._ahead, None
        return ahead[1] if ahead is not None and ahead[0] == step else self._make(step)

    def prepare(self, step: int) -> None:
        """Make that batch now and begin to copy it, while the device works on another."""
        self._ahead = (step, self._make(step))

    def _make(self, step: int) -> Fed:
        indices = batch_indices(
            rows=len(self._rows), batch_size=self._config.batch_size, seed=self._config.seed, step=step
        )
        batch = self._rows.batch(indices)
        return Fed(to_device(batch, self._device), batch.real_tokens)
