"""The workers, their devices and the queue, as pages, API and commands show them."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from runs.models import DeviceLease, HostDevice, Run, Worker
from runs.queueing import waiting_runs
from runs.selectors import WORKER_FRESH_S
from runs.waiting import waiting_reasons

# What one look at the queue shows of it.
MOST_WAITING = 1000


@dataclass(frozen=True, slots=True)
class DeviceView:
    """A device of a host, the run that holds it, and how many of its processes are nobody's run."""

    device: HostDevice
    run: Run | None
    foreign: int

    @classmethod
    def of(cls, device: HostDevice, run: Run | None) -> "DeviceView":
        """Describe a device that ``run`` holds, if any does."""
        return cls(device, run, sum(1 for process in device.processes if _is_foreign(process)))

    @property
    def used(self) -> int | None:
        """Bytes of its memory that are taken; None where the driver does not tell."""
        total, free = self.device.memory_bytes, self.device.free_bytes
        return None if total is None or free is None else max(0, total - free)


@dataclass(frozen=True, slots=True)
class WorkerView:
    """A worker, its heartbeat's age in seconds, and the devices of its host."""

    worker: Worker
    age: float
    alive: bool
    devices: list[DeviceView]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A queued run, its place from 1 on, and why it waits."""

    run: Run
    place: int
    reason: str


@dataclass(frozen=True, slots=True)
class Board:
    """The queue in order, how many wait in all, and the leases of the devices."""

    waiting: list[Waiting]
    count: int
    leases: list[DeviceLease]


def queue_board() -> Board:
    """Look at what waits, in order, and at what runs where."""
    rows = waiting_runs().select_related("dataset", "best_evaluation").prefetch_related("tags")
    queued = list(rows[:MOST_WAITING])
    reasons = waiting_reasons(queued)
    return Board(
        [Waiting(run, place, reasons.get(run.pk, "")) for place, run in enumerate(queued, 1)],
        rows.count() if len(queued) == MOST_WAITING else len(queued),
        list(DeviceLease.objects.select_related("run").order_by("host", "device")),
    )


def device_labels(leases: Iterable[DeviceLease]) -> dict[int, str]:
    """Give the name for people of each lease's device: kind and index where the device is known."""
    known = {(row.host, row.key): row.label for row in HostDevice.objects.all()}
    return {lease.pk: known.get((lease.host, lease.device), lease.device) for lease in leases}


def list_workers() -> list[WorkerView]:
    """List the workers, those that live first, each with the devices of its host."""
    now = timezone.now()
    leases = {(row.host, row.device): row.run for row in DeviceLease.objects.select_related("run")}
    devices: dict[str, list[DeviceView]] = {}
    for row in HostDevice.objects.order_by("host", "kind", "index"):
        devices.setdefault(row.host, []).append(DeviceView.of(row, leases.get((row.host, row.key))))
    views = []
    for worker in Worker.objects.order_by("-beat_at", "id"):
        age = max(0.0, (now - worker.beat_at).total_seconds())
        views.append(WorkerView(worker, age, age <= WORKER_FRESH_S, devices.get(worker.host, [])))
    return sorted(views, key=lambda view: (not view.alive, view.worker.host, view.worker.pid))


def count_workers() -> dict[str, int]:
    """Count the workers whose heartbeat is fresh, and those that fell silent."""
    fresh = timezone.now() - dt.timedelta(seconds=WORKER_FRESH_S)
    alive = Worker.objects.filter(beat_at__gte=fresh).count()
    return {"alive": alive, "silent": Worker.objects.count() - alive}


def _is_foreign(process: Any) -> bool:
    return isinstance(process, dict) and process.get("run_id") is None
