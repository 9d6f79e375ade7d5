"""Metrics of each update, fetched one update late so that the device never waits for the host."""

import time
from typing import NamedTuple

import jax

from training.recorder import Recorder
from training.step import StepMetrics


class _Pending(NamedTuple):
    step: int
    metrics: StepMetrics
    tokens: int


class StepMeter:
    """Records every update exactly once, in order.

    The step time is the time between two consecutive completions, each waited for; `start`
    begins a new interval after anything else than updates took time.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._pending: _Pending | None = None
        self._last = time.perf_counter()
        self.loss: float | None = None

    def start(self) -> None:
        """Begin to measure from here on; nothing may be pending."""
        self._last = time.perf_counter()

    def add(self, step: int, metrics: StepMetrics, tokens: int) -> None:
        """Take the metrics of an update that was just started, and record the one before it."""
        previous, self._pending = self._pending, _Pending(step, metrics, tokens)
        self._record(previous)

    def flush(self) -> None:
        """Wait for the pending update, if there is one, and record it."""
        previous, self._pending = self._pending, None
        self._record(previous)

    def _record(self, update: _Pending | None) -> None:
        if update is None:
            return
        values = jax.device_get(update.metrics)
        now = time.perf_counter()
        seconds, self._last = now - self._last, now
        self.loss = float(values.loss_sum) / float(values.weight)
        self._recorder.metrics(
            update.step,
            {
                "train/loss": self.loss,
                "train/grad_norm": float(values.grad_norm),
                "train/learning_rate": float(values.learning_rate),
                "train/step_time": seconds,
                "train/tokens_per_second": update.tokens / seconds,
            },
        )
