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
# The throughput is that of the last updates which took together about as long (s): one that is seen to
# end late, for the host was busy, makes the next look quick beyond belief.
THROUGHPUT_SECONDS: Final = 0.5
# How far the data has been gone through changes evenly, so that not every update need say so.
POSITION_EVERY: Final = 10


class _Pending(NamedTuple):
    step: int
    metrics: jax.Array
    tokens: int


class StepMeter:
    """Records every update exactly once, in order, from a thread of its own.

    The step time is the time between two consecutive completions, and where several had ended
    by the time it looked, an equal share for each; `start` begins a new interval after anything
    else than updates took time. ``epochs_a_step``: passes over the rows that an update makes;
    ``last_step``: the one that always says how far the data has been gone through. What goes wrong
    in the thread is raised by the next call.

    ``tokens_seen`` counts the real tokens of all updates so far; None where that is not known.
    """

    def __init__(self, recorder: Recorder, *, skip_limit: int, epochs_a_step: float, last_step: int) -> None:
        self._recorder, self._skip_limit = recorder, skip_limit
        self._epochs_a_step, self._last_step = epochs_a_step, last_step
        self.tokens_seen: int | None = 0
        self._changed = threading.Condition()
        self._pending: deque[_Pending] = deque()
        self._busy = 0
        self._recent: deque[tuple[float, int]] = deque()
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
        self._recent.clear()
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
                ended, self._busy = [self._pending.popleft()], 1
            try:
                ended[0].metrics.block_until_ready()
                with self._changed:
                    # The type stubs of JAX leave is_ready out.
                    while self._pending and self._pending[0].metrics.is_ready():  # type: ignore[attr-defined]
                        ended.append(self._pending.popleft())
                        self._busy += 1
                now = time.perf_counter()
                seconds, self._last = (now - self._last) / len(ended), now
                for update in ended:
                    self._record(update, seconds)
            except BaseException as error:  # it belongs to the loop, which raises it
                self._error = error
            with self._changed:
                self._busy = 0
                self._changed.notify_all()
                if self._error is not None:
                    return

    def _throughput(self, seconds: float, tokens: int) -> float:
        """Give the real tokens a second of this update and those shortly before it."""
        self._recent.append((seconds, tokens))
        total = sum(took for took, _ in self._recent)
        while total - self._recent[0][0] >= THROUGHPUT_SECONDS:
            total -= self._recent.popleft()[0]
        return sum(count for _, count in self._recent) / total

    def _position(self, step: int) -> dict[str, float]:
        """Say at some steps, the same ones in every attempt, how far the data has been gone through."""
        if step % POSITION_EVERY and step not in (1, self._last_step):
            return {}
        position = {"train/epoch": step * self._epochs_a_step}
        if self.tokens_seen is not None:
            position["train/tokens_seen"] = float(self.tokens_seen)
        return position

    def _record(self, update: _Pending, seconds: float) -> None:
        values = StepMetrics(*np.asarray(update.metrics).tolist())
        if self.tokens_seen is not None:
            self.tokens_seen += update.tokens
        # No supervised token in a whole batch is no loss of zero but none at all.
        self.loss = values.loss_sum / values.weight if values.weight else float("nan")
        recorded = {
            "train/loss": self.loss,
            "train/grad_norm": values.grad_norm,
            "train/learning_rate": values.learning_rate,
            "train/step_time": seconds,
            "train/tokens_per_second": self._throughput(seconds, update.tokens),
            **self._position(update.step),
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
