"""A stand-in for the module ``pynvml``: cards that answer, or fail, as a driver's do."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from runs import nvml

NOT_SUPPORTED, NOT_FOUND, UNINITIALIZED, NO_LIBRARY, GPU_IS_LOST = 3, 6, 1, 12, 15
GIB = 2**30
FOREIGN = 4_194_304 + 7  # above the greatest pid of Linux


class NVMLError(Exception):
    def __init__(self, value: int) -> None:
        super().__init__(f"NVML error {value}")
        self.value = value


@dataclass
class FakeCard:
    """What one card or instance answers; ``failing`` names functions and their error codes."""

    uuid: Any = "GPU-a"
    name: Any = "NVIDIA Test 12GB"
    total: int = 12 * GIB
    used: int = 2 * GIB
    compute: list[tuple[int, int | None]] = field(default_factory=list)
    graphics: list[tuple[int, int | None]] = field(default_factory=list)
    reasons: int = 0x1
    mig_mode: int = 0
    instances: list["FakeCard | None"] = field(default_factory=list)
    attributes: Any = None
    failing: dict[str, int] = field(default_factory=dict)


class FakeNvml:
    """The module's functions that are used here, over a list of cards; counts what is asked."""

    NVMLError = NVMLError

    def __init__(
        self, *cards: FakeCard, driver: Any = "570.1", failing: dict[str, int] | None = None
    ) -> None:
        self.cards, self.driver, self.failing = list(cards), driver, failing or {}
        self.asked: list[str] = []
        self.open = 0

    def __getattribute__(self, name: str) -> Any:
        """Fail where the test wants it, before the function itself answers."""
        plain = super().__getattribute__(name)
        if not name.startswith("nvml"):
            return plain

        def answer(*arguments: Any) -> Any:
            self.asked.append(name)
            failing = dict(self.failing)
            if arguments and isinstance(arguments[0], FakeCard):
                failing |= {
                    **arguments[0].failing,
                    **({"*": c} if (c := arguments[0].failing.get("*")) else {}),
                }
            code = failing.get(name, failing.get("*"))
            if code is not None:
                raise NVMLError(code)
            return plain(*arguments)

        return answer

    def nvmlInit(self):
        self.open += 1

    def nvmlShutdown(self):
        self.open -= 1

    def nvmlSystemGetDriverVersion(self):
        return self.driver

    def nvmlSystemGetProcessName(self, pid):
        return f"/usr/bin/tool-{pid} --flag"

    def nvmlDeviceGetCount(self):
        return len(self.cards)

    def nvmlDeviceGetHandleByIndex(self, index):
        return self.cards[index]

    def nvmlDeviceGetHandleByUUID(self, uuid):
        parts = [part for card in self.cards for part in card.instances if part]
        for card in [*self.cards, *parts]:
            if card.uuid == uuid:
                return card
        raise NVMLError(NOT_FOUND)

    def nvmlDeviceGetUUID(self, card):
        return card.uuid

    def nvmlDeviceGetName(self, card):
        return card.name

    def nvmlDeviceGetMemoryInfo(self, card):
        return SimpleNamespace(total=card.total, used=card.used, free=card.total - card.used)

    def nvmlDeviceGetUtilizationRates(self, card):
        return SimpleNamespace(gpu=40, memory=10)

    def nvmlDeviceGetTemperature(self, card, sensor):
        return 61

    def nvmlDeviceGetPowerUsage(self, card):
        return 90_500

    def nvmlDeviceGetEnforcedPowerLimit(self, card):
        return 115_000

    def nvmlDeviceGetCurrentClocksEventReasons(self, card):
        return card.reasons

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, card):
        return card.reasons

    def nvmlDeviceGetComputeRunningProcesses(self, card):
        return [SimpleNamespace(pid=pid, usedGpuMemory=size) for pid, size in card.compute]

    def nvmlDeviceGetGraphicsRunningProcesses(self, card):
        return [SimpleNamespace(pid=pid, usedGpuMemory=size) for pid, size in card.graphics]

    def nvmlDeviceGetMigMode(self, card):
        return [card.mig_mode, card.mig_mode]

    def nvmlDeviceGetMaxMigDeviceCount(self, card):
        return len(card.instances)

    def nvmlDeviceGetMigDeviceHandleByIndex(self, card, slot):
        part = card.instances[slot]
        if part is None:
            raise NVMLError(NOT_FOUND)
        return part

    def nvmlDeviceGetAttributes(self, card):
        if card.attributes is None:
            raise NVMLError(NOT_SUPPORTED)
        return card.attributes


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeNvml]:
    """Put a driver with the given cards into the place of ``pynvml``."""
    monkeypatch.setattr(nvml, "_last_warnings", {})

    def install(*cards: FakeCard, **facts: Any) -> FakeNvml:
        module = FakeNvml(*cards, **facts)
        monkeypatch.setitem(sys.modules, "pynvml", module)
        return module

    return install
