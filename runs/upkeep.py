"""What a child does beside its work, with no database: measure its device, keep its log small."""

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from runs.journal import JournalRecorder
from runs.logs import rotate_log
from runs.system_metrics import SystemSampler

log = logging.getLogger(__name__)

LOOK_S = 1.0
LOOKS_A_SAMPLE = 5


class Upkeep(threading.Thread):
    """Samples the device every few seconds, one point a step, and rotates the log."""

    def __init__(
        self,
        directory: Path,
        *,
        recorder: JournalRecorder,
        sampler: SystemSampler,
        pause: Callable[[float], bool] | None = None,
    ) -> None:
        super().__init__(name="upkeep", daemon=True)
        self._directory, self._recorder, self._sampler = directory, recorder, sampler
        self._over = threading.Event()
        self._pause = pause or self._over.wait
        self._sampled_step = 0

    def run(self) -> None:
        """Look after the process until it ends."""
        looks = 0
        while not self._pause(LOOK_S):
            looks += 1
            try:
                rotate_log(self._directory)
                if looks % LOOKS_A_SAMPLE == 0:
                    self.sample()
            except Exception:
                log.exception("upkeep failed, and goes on")

    def sample(self) -> None:
        """Record what the device does now, at the step that the training has come to."""
        step = self._recorder.current_step
        # A step up to which another attempt came has that one's point.
        if step <= max(self._sampled_step, self._recorder.start_step):
            return
        values = self._sampler.sample()
        if values:
            self._recorder.system(step, values)
            self._sampled_step = step

    def close(self) -> None:
        """End after the look under way."""
        self._over.set()
