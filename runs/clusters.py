"""The django-q2 clusters that a worker keeps: one for each device, one for house-keeping."""

import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

from django.conf import settings

from runs.deliveries import recall, release_deliveries
from runs.processes import hostname
from runs.queueing import queue_name
from runs.tasks import DEVICE_VARIABLE

log = logging.getLogger(__name__)

HOUSEKEEPING = "housekeeping"
HOUSEKEEPING_LEAVE_S = 20.0
# An idle cluster leaves within two seconds; one that supervises never would, and need not.
DEVICE_LEAVE_S = 3.0


@dataclass
class Cluster:
    """A running cluster; ``device`` is the key of the device it serves, empty for house-keeping."""

    name: str
    device: str
    process: "subprocess.Popen[bytes]"
    starts: int = 1

    @property
    def is_alive(self) -> bool:
        """Whether its main process runs."""
        return self.process.poll() is None


class Clusters:
    """Starts clusters, starts those again that died, and ends all of them in order."""

    def __init__(self) -> None:
        self._by_name: dict[str, Cluster] = {}

    def tend(self, devices: set[str]) -> None:
        """Keep one cluster a device and one for house-keeping; a dead one is started again."""
        wanted = {queue_name(hostname(), key): key for key in devices} | {HOUSEKEEPING: ""}
        for name, device in wanted.items():
            before = self._by_name.get(name)
            if before is not None and before.is_alive:
                continue
            # What the dead one had fetched would otherwise wait for its retry time, which never comes.
            if device:
                recall(queue=name)
            if before is not None:
                log.warning("cluster %s ended with %s and is started again", name, before.process.returncode)
                _end_rest(before)
            starts = before.starts + 1 if before else 1
            try:
                self._by_name[name] = Cluster(name, device, _start(name, device), starts)
            except OSError as error:
                log.error("cluster %s could not be started, and is tried again: %s", name, error)
        for name in set(self._by_name) - set(wanted):
            log.warning("the device of cluster %s is gone, so it ends", name)
            self._end([self._by_name.pop(name)], within_s=DEVICE_LEAVE_S)
            recall(queue=name)

    def serving(self) -> set[str]:
        """Name the queues of devices that are served."""
        return {one.name for one in self._by_name.values() if one.device and one.is_alive}

    def facts(self) -> list[dict[str, object]]:
        """Describe the clusters for the worker's row."""
        return [
            {
                "name": one.name,
                "device": one.device,
                "pid": one.process.pid,
                "alive": one.is_alive,
                "starts": one.starts,
            }
            for one in self._by_name.values()
        ]

    def leave(self) -> None:
        """End all: those of devices at once, for what they supervise goes on by itself."""
        every = list(self._by_name.values())
        for one in every:
            with contextlib.suppress(ProcessLookupError):
                # The main process alone: a signal to the whole group would hang django-q2.
                one.process.send_signal(signal.SIGTERM)
        self._end([one for one in every if one.device], within_s=DEVICE_LEAVE_S)
        self._end([one for one in every if not one.device], within_s=HOUSEKEEPING_LEAVE_S)

    def _end(self, clusters: list[Cluster], *, within_s: float) -> None:
        deadline = time.monotonic() + within_s
        for one in clusters:
            with contextlib.suppress(ProcessLookupError):
                one.process.send_signal(signal.SIGTERM)
        for one in clusters:
            with contextlib.suppress(subprocess.TimeoutExpired):
                one.process.wait(max(0.1, deadline - time.monotonic()))
            _end_rest(one)
            one.process.wait()


def _end_rest(cluster: Cluster) -> None:
    """End what is left of a cluster: its processes survive the main one, and would go on taking tasks."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(cluster.process.pid, signal.SIGKILL)


def give_back_housekeeping() -> int:
    """Let the jobs be delivered again that a dead worker had in hand."""
    return release_deliveries(queue=HOUSEKEEPING)


def _start(name: str, device: str) -> "subprocess.Popen[bytes]":
    """Start a cluster for one queue, in a session of its own."""
    environment = {**os.environ, "Q_CLUSTER_NAME": name}
    environment.pop(DEVICE_VARIABLE, None)
    if device:
        environment[DEVICE_VARIABLE] = device
    return subprocess.Popen(
        [sys.executable, "-m", "runs.cluster", str(os.getpid())],
        cwd=settings.BASE_DIR,
        env=environment,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
