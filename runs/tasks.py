"""Entry points of the queue. They take ids only; all state is in the run's row."""

import contextlib
import os
from collections.abc import Iterator

from runs import services, supervisor
from runs.devices import Device, find_device
from runs.processes import hostname
from runs.promotion.following import look_and_follow
from runs.queueing import queue_name

# Which device the cluster of this process serves, by its key.
DEVICE_VARIABLE = "TUNIX_WORKER_DEVICE"


def supervise(run_id: int, attempt: int) -> str:
    """Carry one attempt of a run to its end, on the device of this cluster."""
    what = f"run {run_id}, attempt {attempt}"
    key = os.environ.get(DEVICE_VARIABLE, "")
    queue = queue_name(hostname(), key) if key else ""
    device: Device | None = find_device(key) if key else None
    if key and device is None:
        services.take_back(run_id=run_id, attempt=attempt, queue=queue)
        return f"{what}: {key} is not there any more"
    try:
        with _disowning():
            ended = supervisor.supervise(
                run_id, attempt, device=device, queue=queue, outlives_supervisor=True
            )
    except services.DeviceBusyError as busy:
        services.take_back(run_id=run_id, attempt=attempt, queue=queue, why=str(busy))
        return f"{what}: {busy}"
    return f"{what}: {ended or 'nothing to claim'}"


def adopt(attempt_id: int) -> str:
    """Go on supervising an attempt whose supervisor died."""
    with _disowning():
        ended = supervisor.adopt(attempt_id)
    return f"attempt row {attempt_id}: {ended or 'nothing to adopt'}"


def look_at_evaluations() -> str:
    """Look for the overlap of evaluations that wait for it, and let names follow what counts now."""
    return f"{look_and_follow()} evaluations looked at"


@contextlib.contextmanager
def _disowning() -> Iterator[None]:
    """Give up what this process supervises when its task fails: the process itself lives on."""
    try:
        yield
    except services.DeviceBusyError:
        raise
    except BaseException:
        supervisor.disown(os.getpid())
        raise
