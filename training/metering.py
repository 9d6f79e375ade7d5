"""Metrics of each update, waited for and recorded beside the loop, never in it."""

import threading
import time
from collections import deque
from typing import Final, NamedTuple

import jax
import numpy as np

from training.errors import NotFiniteError
from training.recorder import Recorder
from training.step import StepMetrics

# Updates that may be under way at once: one runs, the next waits on the device, and the host
# prepares a third. More would only hold more batches in memory and make a stop slower.
IN_FLIGHT: Final = 2


class _Pending(NamedTuple):
    step: int
    metrics: jax.Array
    tokens: int


class StepMeter:
    """Records every update exactly once, in order, from a thread of its own.

    The step time is the time between two consecutive completions; `start` begins a new
    interval after anything else than updates took time. What goes wrong in the thread is
    raised by the next call.
    """

    def __init__(self, recorder: Recorder, *, skip_limit: int) -> None:
        self._recorder, self._skip_limit = recorder, skip_limit
        self._changed = threading.Condition()
        self._pending: deque[_Pending] = deque()
        self._busy = False
        self._closed = False
        self._error: BaseException | None = None
        self._last = time.perf_counter()
        self._once: dict[str, float] = {}
        self.loss: float | None = None
        self._thread = threading.Thread(target=self._run, name="step-meter", daemon=True)
        self._thread.start()

    def start(self, *, once: dict[str, float] | None = None) -> None:
        """Begin to measure from here on; nothing may be pending.

        With ``once``, the next update is the first of a process: these values are recorded
        with it, and its time under a name of its own too.
        """
        self._last = time.perf_counter()
        if once is not None:
            self._once = dict(once)

    def add(self, step: int, metrics: jax.Array, tokens: int) -> None:
        """Take the metrics of an update that was just started; waits while too many are under way.

        Raises:
            NotFiniteError: when too many updates in a row were not finite.
        """
        with self._changed:
            self._pending.append(_Pending(step, metrics, tokens))
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._error or self._under_way() <= IN_FLIGHT)
        self._raise()

    def flush(self) -> None:
        """Wait until every update is recorded; raises as `add`."""
        with self._changed:
            self._changed.wait_for(lambda: self._error or not self._under_way())
        self._raise()

    def close(self) -> None:
        """End the thread; what is still pending is given up."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _under_way(self) -> int:
        return len(self._pending) + self._busy

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._pending or self._closed)
                if self._closed:
                    return
                update, self._busy = self._pending.popleft(), True
            try:
                self._record(update)
            except BaseException as error:  # it belongs to the loop, which raises it
                self._error = error
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                if self._error is not None:
                    return

    def _record(self, update: _Pending) -> None:
        values = StepMetrics(*np.asarray(update.metrics).tolist())  # waits for the device
        now = time.perf_counter()
        seconds, self._last = now - self._last, now
        # No supervised token in a whole batch is no loss of zero but none at all.
        self.loss = values.loss_sum / values.weight if values.weight else float("nan")
        recorded = {
            "train/loss": self.loss,
            "train/grad_norm": values.grad_norm,
            "train/learning_rate": values.learning_rate,
            "train/step_time": seconds,
            "train/tokens_per_second": update.tokens / seconds,
        }
        if values.skipped:
            recorded["train/skipped_updates"] = values.skipped
        if self._once:
            recorded |= self._once | {"system/first_step_time": seconds}
            self._once = {}
        self._recorder.metrics(update.step, recorded)
        if values.skipped_in_row:
            self._tell_skipped(update.step, values)

    def _tell_skipped(self, step: int, values: StepMetrics) -> None:
        in_row = int(values.skipped_in_row)
        if in_row >= self._skip_limit:
            raise NotFiniteError(
                f"The loss or the gradient was not finite {in_row} times in a row, up to step {step} "
                f"(skip_limit={self._skip_limit}), {int(values.skipped)} times in all. None changed the "
                "parameters. Lower learning_rate, set a smaller clip_norm or more warmup_steps; "
                "with precision=bf16 try fp32."
            )
        self._recorder.log(
            f"Warning: step {step} was skipped, for its loss or gradient is not finite "
            f"(loss {self.loss}, gradient norm {values.grad_norm}); {in_row} in a row, at most "
            f"{self._skip_limit - 1} are let pass."
        )
