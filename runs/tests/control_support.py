"""Queues, hosts with devices and workers, and checkpoints, as rows: what tests of run control share."""

import datetime as dt
from pathlib import Path
from typing import Any

from django.utils import timezone

from runs import services
from runs.models import Checkpoint, DeviceLease, HostDevice, Run, Worker
from runs.states import Status
from runs.store import store_id
from runs.tests.support import make_run
from training.checkpoints import seal

HOST = "there"


def queued(**changes: Any) -> Run:
    """A run that waits for a worker."""
    return services.enqueue_run(make_run(**changes))


def make_worker(host: str = HOST, *, age: float = 1, **facts: Any) -> Worker:
    """A worker whose heartbeat is ``age`` seconds old, with this site's artifacts folder."""
    beat = timezone.now() - dt.timedelta(seconds=age)
    known = Worker.objects.count()
    return Worker.objects.create(
        host=host, **{"pid": 100 + known, "beat_at": beat, "store": store_id(), **facts}
    )


def make_device(host: str = HOST, kind: str = "cpu", index: int = 0, **facts: Any) -> HostDevice:
    key = f"{kind}:{index}" if kind == "cpu" else f"GPU-{host}-{index}"
    return HostDevice.objects.create(
        host=host, kind=kind, index=index, **{"key": key, "seen_at": timezone.now(), **facts}
    )


def hold(device: HostDevice, *, step: int = 10, steps: int = 100, seconds: float | None = None) -> Run:
    """A run that holds a device, ``seconds`` a step."""
    run = make_run(config={"steps": steps})
    Run.objects.filter(pk=run.pk).update(status=Status.RUNNING, attempt=1, step=step, step_seconds=seconds)
    DeviceLease.objects.create(host=device.host, device=device.key, run=run, attempt=1)
    run.refresh_from_db()
    return run


def write_checkpoint(root: Path, step: int, **facts: Any) -> Path:
    """A complete checkpoint on the disk."""
    partial = root / f".partial-{step}-1"
    (partial / "state").mkdir(parents=True)
    (partial / "state" / "data").write_text("weights" * 100)
    seal(partial, root / str(step), {"step": step, **facts})
    return root / str(step)


def checkpoint_row(run: Run, root: Path, step: int) -> Checkpoint:
    """A recorded checkpoint whose files lie under ``root``."""
    path = write_checkpoint(root, step, attempt=1)
    return Checkpoint.objects.create(
        run=run, step=step, attempt=1, path=str(path), size_bytes=700, created_at=timezone.now()
    )
