"""Devices of this machine: its CPU slots and GPUs, and which one a run takes.

No JAX in this process: the GPUs come from NVML, and whether JAX can really compute on them is
told by ``runs.jax_probe``.
"""

import contextlib
import itertools
import os
import platform
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from django.conf import settings

from runs.jax_probe import (
    INSTALL_CPU,
    DeviceUnavailableError,
    jax_installed,
    probe_jax,
    require_jax,
)
from runs.nvml import Card, read_cards, usable_cards

if TYPE_CHECKING:
    from runs.models import Run

__all__ = [
    "INSTALL_CPU",
    "Device",
    "DeviceUnavailableError",
    "cpu",
    "cpus",
    "find_device",
    "findings",
    "gpus",
    "host_devices",
    "jax_installed",
    "numbered",
    "probe_jax",
    "require_jax",
    "resolve_device",
]


@dataclass(frozen=True, slots=True)
class Device:
    """A device as a run names it: a CPU slot, a GPU, or an instance of a divided GPU.

    ``index`` is a GPU's physical number; of instances see `numbered`. ``uuid`` tells a GPU or
    an instance from all others. ``pinned``: it was asked for by its number, so no other one of its
    kind will do.
    """

    kind: str
    index: int = 0
    uuid: str = ""
    name: str = ""
    memory_bytes: int | None = None
    pinned: bool = field(default=False, compare=False)

    @property
    def key(self) -> str:
        """Name under which the device is leased on its host."""
        return self.uuid or f"{self.kind}:{self.index}"

    @classmethod
    def of_run(cls, run: "Run") -> Self:
        """Give the device that a run was created for."""
        return cls(kind=run.device_kind, index=run.device_index, uuid=run.device_uuid, name=run.device_name)


def cpu(index: int = 0) -> Device:
    """Give a CPU slot of this machine. All slots share its processors and its memory."""
    return Device(kind="cpu", index=index, name=_cpu_name(), memory_bytes=_memory_bytes())


def cpus() -> list[Device]:
    """List the CPU slots: as many runs as TUNIX_CPU_SLOTS may work on the CPU side by side."""
    name, memory = _cpu_name(), _memory_bytes()
    return [
        Device(kind="cpu", index=index, name=name, memory_bytes=memory)
        for index in range(settings.TUNIX_CPU_SLOTS)
    ]


def gpus() -> list[Device]:
    """List the NVIDIA GPUs that the driver sees; empty without a driver."""
    return [device for device, _ in numbered(read_cards())]


def host_devices() -> list[Device]:
    """List what runs can be given here: CPU slots and GPUs, of a divided GPU its instances."""
    return [*cpus(), *gpus()]


def find_device(key: str) -> Device | None:
    """Find a device of this host by its key; None where it is not there (any more)."""
    return next((device for device in host_devices() if device.key == key), None)


def numbered(cards: list[Card]) -> list[tuple[Device, Card]]:
    """Give each usable card or instance its index on this host.

    A card that is not divided keeps the driver's number. Instances take the numbers of the
    divided cards first, then those after the last card, so that no two devices share one.
    """
    divided = [card.index for card in cards if card.mig_enabled]
    after = max((card.index for card in cards), default=-1) + 1
    free = itertools.chain(divided, itertools.count(after))
    found = [
        (
            Device(
                kind="gpu",
                index=next(free) if card.mig else card.index,
                uuid=card.uuid,
                name=card.name[:200],
                memory_bytes=card.memory_total,
            ),
            card,
        )
        for card in usable_cards(cards)
    ]
    return sorted(found, key=lambda pair: pair[0].index)


def resolve_device(*, kind: str | None, index: int | None = None) -> Device:
    """Choose the device of a new run: the one asked for, else a usable GPU, else the CPU.

    Raises:
        UserError: where JAX is missing.
        DeviceUnavailableError: where the device is not there, naming what is.
    """
    return replace(_resolve(kind=kind, index=index), pinned=index is not None)


def _resolve(*, kind: str | None, index: int | None) -> Device:
    require_jax()
    if kind == "cpu":
        return _cpu_slot(index or 0)
    present = gpus()
    if kind is None and index is None and not present:
        return cpu()
    probe = probe_jax()
    usable = bool(probe["backends"].get("gpu"))
    if kind is None and index is None and not usable:
        return cpu()
    by_index = {gpu.index: gpu for gpu in present}
    wanted = min(by_index, default=0) if index is None else index
    if not usable or wanted not in by_index:
        raise DeviceUnavailableError(
            f"gpu:{wanted} cannot be used. {findings(present, probe)}",
            hint=f"Choose --device-index {_among(sorted(by_index))}."
            if usable and by_index
            else "Use --device cpu, or install requirements/gpu.txt and an NVIDIA driver.",
        )
    return by_index[wanted]


def _cpu_slot(index: int) -> Device:
    slots = settings.TUNIX_CPU_SLOTS
    if 0 <= index < slots:
        return cpu(index)
    have = "one CPU slot, cpu:0" if slots == 1 else f"{slots} CPU slots, cpu:0 to cpu:{slots - 1}"
    raise DeviceUnavailableError(
        f"There is no cpu:{index}: this machine has {have}.",
        hint="TUNIX_CPU_SLOTS sets how many runs may share the CPU, for the site and its worker alike.",
    )


def _among(numbers: list[int]) -> str:
    if len(numbers) > 1 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"{numbers[0]} to {numbers[-1]}"
    return " or ".join(str(number) for number in numbers)


def findings(present: list[Device], probe: dict[str, Any]) -> str:
    """Say in words what the driver sees and what JAX can use."""
    driver = (
        "The NVIDIA driver sees " + ", ".join(f"gpu:{gpu.index} {gpu.name}" for gpu in present)
        if present
        else "No NVIDIA driver or GPU was found"
    )
    seen = [
        f"{kind}:{device.get('id', 0)} ({device.get('kind', '?')})"
        for kind, devices in probe["backends"].items()
        for device in devices
    ]
    return f"{driver}; JAX {probe.get('jax_version', '?')} can use {', '.join(seen) or 'nothing'}."


def _cpu_name() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return f"{line.split(':', 1)[1].strip()} ({len(os.sched_getaffinity(0))} cores)"
    return platform.processor() or platform.machine()


def _memory_bytes() -> int | None:
    with contextlib.suppress(OSError, ValueError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return None
