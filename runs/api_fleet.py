"""REST routes of the queue and of the workers."""

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import Field

from runs.fleet import DeviceView, WorkerView, device_labels, list_workers, queue_board
from runs.schemas import RunOut
from tunix_site.auth import READ
from tunix_site.schemas import ERRORS

queue_router = Router(tags=["training"])
workers_router = Router(tags=["workers"])


class WaitingOut(Schema):
    """A queued run at its place; the run itself says why it waits."""

    place: int = Field(description="1 goes first")
    run: RunOut


class LeaseOut(Schema):
    """A device and the run that holds it."""

    host: str
    device: str = Field(description="kind and index where the device is known, else its key")
    key: str = Field(description="cpu:0, or a GPU's UUID")
    run_id: int
    attempt: int
    status: str
    step: int
    total_steps: int
    acquired_at: datetime


class QueueOut(Schema):
    """What waits, in the order in which it starts, and what holds which device."""

    waiting: list[WaitingOut]
    count: int = Field(description="all that wait; the list shows the first of them")
    leases: list[LeaseOut]


class HostDeviceOut(Schema):
    """A device as its host's worker last saw it; null is what the driver does not tell."""

    kind: str
    index: int
    key: str
    name: str
    memory_bytes: int | None
    free_bytes: int | None
    driver: str
    mig: str
    utilisation: float | None = Field(description="share of 1")
    temperature: float | None = Field(description="degrees Celsius")
    processes: list[dict[str, Any]]
    foreign_processes: int = Field(description="processes on it that belong to no run")
    usable: bool
    trouble: str = Field(description="why it takes no run now; empty: it does")
    run_id: int | None
    seen_at: datetime

    @classmethod
    def of(cls, view: DeviceView) -> "HostDeviceOut":
        """Describe a device."""
        own = {"foreign_processes", "run_id"}
        same = {name: getattr(view.device, name) for name in cls.model_fields if name not in own}
        return cls(**same, foreign_processes=view.foreign, run_id=view.run.pk if view.run else None)


class WorkerOut(Schema):
    """A worker and the devices of its host."""

    host: str
    pid: int
    version: str
    store: str = Field(description="its artifacts folder: workers with the same one share their files")
    alive: bool = Field(description="whether its heartbeat is fresh")
    beat_at: datetime
    started_at: datetime
    drain_requested_at: datetime | None
    clusters: list[dict[str, Any]]
    devices: list[HostDeviceOut]

    @classmethod
    def of(cls, view: WorkerView) -> "WorkerOut":
        """Describe a worker."""
        own = {"alive", "devices"}
        same = {name: getattr(view.worker, name) for name in cls.model_fields if name not in own}
        return cls(**same, alive=view.alive, devices=[HostDeviceOut.of(one) for one in view.devices])


@queue_router.get("queue", response={200: QueueOut, **ERRORS}, auth=READ, summary="Queue")
def queue(request: HttpRequest) -> QueueOut:
    """List what waits, in order and with the reason, and which run holds which device."""
    board = queue_board()
    labels = device_labels(board.leases)
    return QueueOut(
        waiting=[
            WaitingOut(place=one.place, run=RunOut.of(one.run, waiting=one.reason)) for one in board.waiting
        ],
        count=board.count,
        leases=[
            LeaseOut(
                host=lease.host,
                device=labels[lease.pk],
                key=lease.device,
                run_id=lease.run_id,
                attempt=lease.attempt,
                status=lease.run.status,
                step=lease.run.step,
                total_steps=lease.run.total_steps,
                acquired_at=lease.acquired_at,
            )
            for lease in board.leases
        ],
    )


@workers_router.get("", response={200: list[WorkerOut], **ERRORS}, auth=READ, summary="Workers")
def workers(request: HttpRequest) -> list[WorkerOut]:
    """List the workers, those that live first, with the devices of their hosts."""
    return [WorkerOut.of(view) for view in list_workers()]
