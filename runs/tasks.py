"""Entry points of the queue. They take ids only; all state is in the run's row."""

import os

from runs import services, supervisor
from runs.devices import Device, find_device
from runs.processes import hostname
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
        ended = supervisor.supervise(run_id, attempt, device=device, queue=queue, outlives_supervisor=True)
    except services.DeviceBusyError as busy:
        services.take_back(run_id=run_id, attempt=attempt, queue=queue)
        return f"{what}: {busy}"
    return f"{what}: {ended or 'nothing to claim'}"


def adopt(attempt_id: int) -> str:
    """Go on supervising an attempt whose supervisor died."""
    return f"attempt row {attempt_id}: {supervisor.adopt(attempt_id) or 'nothing to adopt'}"
