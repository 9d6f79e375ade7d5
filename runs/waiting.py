"""Why a queued run does not run yet, in words, found out when somebody asks.

The rules are those of `runs.queueing.fitting_runs` and `hand_out`; here each says what is missing.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from django.db.models import Exists, OuterRef
from django.utils import timezone

from runs.models import Checkpoint, DeviceLease, HostDevice, Run, Worker
from runs.queueing import queue_name, waiting_runs
from runs.selectors import live_workers
from runs.services import FOREGROUND
from runs.states import Status

KINDS = {"cpu": "CPU slot", "gpu": "GPU"}


def waiting_reason(run: Run) -> str:
    """Say why one run waits; empty where it does not."""
    return waiting_reasons([run]).get(run.pk, "")


def waiting_reasons(runs: Sequence[Run], *, scene: "Scene | None" = None) -> dict[int, str]:
    """Say why each of the runs waits; those that do not are left out.

    A handful of queries, however many runs there are; none where the caller has looked already.
    """
    queued = [run for run in runs if run.status == Status.QUEUED]
    if not queued:
        return {}
    scene = scene or Scene()
    return {run.pk: scene.reason(run) for run in queued}


@dataclass(slots=True)
class Holder:
    """Who has a device: a run, and the seconds that it still needs where that can be told."""

    run: Run
    left: float | None


class Scene:
    """Workers, devices, leases and the queue, as they are at one moment; each is looked at when needed."""

    def __init__(self, live: list[Worker] | None = None) -> None:
        """Look around; ``live``: the workers that live, where they are known already."""
        self.now = timezone.now()
        self.live = list(live_workers()) if live is None else live
        self.working = [worker for worker in self.live if worker.drain_requested_at is None]

    @cached_property
    def devices(self) -> list[HostDevice]:
        """The devices of the hosts whose workers live."""
        return list(HostDevice.objects.filter(host__in={worker.host for worker in self.live}))

    @cached_property
    def queue(self) -> list[Run]:
        """All that waits, in order; ``begun``: it has written a checkpoint."""
        begun = Exists(Checkpoint.objects.filter(run=OuterRef("pk")))
        rows = waiting_runs().only("id", "device_kind", "assigned_to", "not_before")
        return list(rows.annotate(begun=begun))

    @cached_property
    def begun(self) -> set[int]:
        """Those of them that have written a checkpoint."""
        return {row.pk for row in self.queue if getattr(row, "begun", False)}

    @cached_property
    def promised(self) -> dict[str, int]:
        """By queue: the run that is about to start there."""
        return {row.assigned_to: row.pk for row in self.queue if row.assigned_to}

    @cached_property
    def held(self) -> dict[tuple[str, str], Holder]:
        """By host and device: who has it."""
        leases = DeviceLease.objects.select_related("run", "run__dataset").order_by("host", "device")
        return {(lease.host, lease.device): Holder(lease.run, seconds_left(lease.run)) for lease in leases}

    def reason(self, run: Run) -> str:
        """Say what is missing, the most particular first."""
        return self._of_the_run(run) or self._of_the_workers(run) or self._of_the_devices(run)

    def _of_the_run(self, run: Run) -> str:
        if run.not_before and run.not_before > self.now:
            at = run.not_before.astimezone(dt.UTC).strftime("%H:%M:%S UTC")
            if run.restarts:
                return f"restart {run.restarts} after a failure, at {at}"
            return f"{run.reason}; tried again at {at}" if run.reason else f"not before {at}"
        if run.assigned_to == FOREGROUND:
            return "the command that asked for it starts it itself"
        if run.assigned_to:
            for device in self.devices:
                if queue_name(device.host, device.key) == run.assigned_to:
                    return f"about to start on {device.label} of {device.host}"
            return "about to start, handed to a device whose worker is silent"
        return ""

    def _of_the_workers(self, run: Run) -> str:
        if not self.live:
            return "no worker is running; start one with `make worker`"
        if not self.working:
            hosts = ", ".join(sorted({worker.host for worker in self.live}))
            return f"the worker of {hosts} is being drained"
        if run.store and not self._workers_for(run):
            if any(worker.store == run.store for worker in self.live):
                return "the worker of the host that has its files is being drained"
            return "its files lie in the artifacts folder of another host, whose worker is not running"
        return ""

    def _workers_for(self, run: Run) -> list[Worker]:
        return [worker for worker in self.working if not run.store or worker.store == run.store]

    def _of_the_devices(self, run: Run) -> str:
        hosts = {worker.host for worker in self._workers_for(run)}
        fitting = [
            device for device in self.devices if device.host in hosts and device.kind == run.device_kind
        ]
        if not fitting:
            return f"no worker has a {KINDS.get(run.device_kind, run.device_kind)}"
        if run.device_pinned:
            fitting = [device for device in fitting if _is_pinned_to(run, device)]
            if not fitting:
                where = f" of {run.host}" if run.host else ""
                return (
                    f"{run.device_kind}:{run.device_index}{where} is not there, and it is to run nowhere else"
                )
        if run.device_kind != "cpu" and run.pk in self.begun and run.device_name:
            fitting = [device for device in fitting if device.name == run.device_name]
            if not fitting:
                return f"it began on {run.device_name} and goes on only on that model, which no worker has"
        well = [device for device in fitting if device.usable and not device.trouble]
        if not well:
            return "; ".join(
                f"{self._named(device)} takes no run: {_trouble(device)}" for device in fitting[:3]
            )
        return self._of_busy_devices(run, well)

    def _of_busy_devices(self, run: Run, devices: list[HostDevice]) -> str:
        ahead = self._ahead(run)
        first = f"{ahead} run{'' if ahead == 1 else 's'} go{'es' if ahead == 1 else ''} first"
        free = [device for device in devices if not self._is_taken(device)]
        if free:
            return first if ahead else f"{self._named(free[0])} is free; about to be handed to it"
        device = min(devices, key=self._seconds_left)
        text = f"{self._named(device)} is {self._use(device)}"
        if len(devices) > 1:
            text = f"all {len(devices)} fitting devices are busy, the first to be free: {text}"
        return f"{text}; {first}" if ahead else text

    def _is_taken(self, device: HostDevice) -> bool:
        queue = queue_name(device.host, device.key)
        return (device.host, device.key) in self.held or queue in self.promised

    def _seconds_left(self, device: HostDevice) -> tuple[bool, float]:
        holder = self.held.get((device.host, device.key))
        left = holder.left if holder else None
        return (left is None, left or 0.0)

    def _use(self, device: HostDevice) -> str:
        holder = self.held.get((device.host, device.key))
        if holder is None:
            return f"about to start run {self.promised[queue_name(device.host, device.key)]}"
        return f"busy with run {holder.run.pk}, {in_words(holder.left)}"

    def _ahead(self, run: Run) -> int:
        """Count the runs for the same kind of device that are handed out before this one."""
        ahead = 0
        for row in self.queue:
            if row.pk == run.pk:
                break
            ready = not row.assigned_to and (row.not_before is None or row.not_before <= self.now)
            ahead += ready and row.device_kind == run.device_kind
        return ahead

    def _named(self, device: HostDevice) -> str:
        several = len({worker.host for worker in self.live}) > 1
        return f"{device.label} of {device.host}" if several else device.label


def _is_pinned_to(run: Run, device: HostDevice) -> bool:
    same = device.key == run.device_uuid if run.device_uuid else device.index == run.device_index
    return same and run.host in {"", device.host}


def _trouble(device: HostDevice) -> str:
    return device.trouble or "JAX cannot use it"


def seconds_left(run: Run) -> float | None:
    """Estimate the seconds that a run still needs, by the pace of its last steps; None where nobody knows."""
    pace = run.step_seconds
    return None if pace is None or not run.total_steps else max(0, run.total_steps - run.step) * pace


def in_words(left: float | None) -> str:
    """Say how long something still takes, roughly; ``left`` is in seconds, None where nobody knows."""
    if left is None:
        return "time left unknown"
    minutes = round(left / 60)
    if minutes < 1:
        return "less than a minute left"
    hours, minutes = divmod(minutes, 60)
    return f"about {hours} h {minutes:02d} min left" if hours else f"about {minutes} min left"
