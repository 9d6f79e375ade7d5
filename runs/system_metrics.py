"""What a run takes of its machine: its own GPU and its own memory, and nobody else's.

Works in the training process: no Django, no JAX, and no error ever leaves it.
"""

import logging
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from runs import nvml

log = logging.getLogger(__name__)

# What failed so often in a row is not asked again.
MOST_FAILURES = 3


def _throttled(module: Any, handle: Any) -> float | None:
    reasons = nvml.slowdowns(module, handle)
    return None if reasons is None else float(bool(reasons))


GPU_METRICS: dict[str, Callable[[Any, Any], float | None]] = {
    "system/gpu_utilisation": nvml.utilisation,
    "system/gpu_memory_used": lambda module, handle: nvml.memory(module, handle)[1],
    "system/gpu_power": nvml.power,
    "system/gpu_temperature": nvml.temperature,
    "system/gpu_throttled": _throttled,
}


class SystemSampler:
    """Measures one run: its process's memory, and its GPU where it has one.

    The GPU is found by its UUID, also that of an instance of a divided one (MIG); without one
    no GPU is measured. For one thread alone. `close` gives the driver back.
    """

    def __init__(self, device_kind: str, uuid: str, pid: int) -> None:
        self.uuid = uuid if device_kind == "gpu" else ""
        self.pid = pid
        self._nvml: Any = None
        self._handle: Any = None
        self._failures: dict[str, int] = {}

    def sample(self) -> dict[str, float]:
        """Measure now, in a few milliseconds; what cannot be read is left out.

        ``system/host_memory`` and ``system/gpu_memory_used`` are bytes,
        ``system/gpu_utilisation`` is a share of 1, ``system/gpu_power`` watts,
        ``system/gpu_temperature`` °C; ``system/gpu_throttled`` is 1 while something holds the
        card's clocks down.
        """
        found: dict[str, float] = {}
        self._take(found, "system/host_memory", lambda: resident_bytes(self.pid))
        try:
            if self.uuid and self._opened():
                for name, read in GPU_METRICS.items():
                    self._take(found, name, partial(read, self._nvml, self._handle))
        except nvml.CardLostError as error:
            log.warning("the run's GPU %s is no longer measured: %s", self.uuid, error)
            self.uuid = ""
            self.close()
        return found

    def close(self) -> None:
        """Give the driver back; a later sample would open it again."""
        if self._nvml is not None:
            nvml.stop(self._nvml)
        self._nvml = self._handle = None

    def _opened(self) -> bool:
        if self._handle is None and self._failures.get("open", 0) < MOST_FAILURES:
            self._nvml = nvml.start()
            if self._nvml is not None:
                self._handle = nvml.handle_of(self._nvml, self.uuid)
            if self._handle is None:
                self._failures["open"] = self._failures.get("open", 0) + 1
                self.close()
        return self._handle is not None

    def _take(self, found: dict[str, float], name: str, read: Callable[[], float | None]) -> None:
        if self._failures.get(name, 0) >= MOST_FAILURES:
            return
        try:
            value = read()
        except nvml.CardLostError:
            raise
        except Exception as error:  # a number of a kind that no driver gave before must not end a training
            log.debug("%s cannot be read: %s", name, error)
            value = None
        if value is None:
            self._failures[name] = self._failures.get(name, 0) + 1
        else:
            self._failures[name] = 0
            found[name] = float(value)


def resident_bytes(pid: int) -> float | None:
    """Read how much memory a process holds, in bytes; None where the system does not say."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None
