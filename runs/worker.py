"""The worker: django-q2 clusters for runs and for house-keeping, their heartbeat, and the reaper.

A cluster that supervises a training is busy for hours, so house-keeping has one of its own,
and the heartbeat and the reaper run here, beside both.
"""

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time

from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections, connection
from django.utils import timezone

from runs import reaper, services
from runs.models import Attempt, Worker
from runs.processes import hostname
from runs.states import SUPERVISED
from tunix_site.errors import ConflictError

log = logging.getLogger(__name__)

CLUSTERS = ("runs", "housekeeping")
BEAT_S = 5.0
LEAVE_S = 20.0


class WorkerProcess:
    """Starts the clusters, keeps them alive, and ends them and their runs in order."""

    def __init__(self) -> None:
        self.clusters: dict[str, subprocess.Popen[bytes]] = {}
        self.stop = threading.Event()

    def work(self) -> None:
        """Work until SIGTERM or SIGINT; then stop this worker's runs with a checkpoint and leave."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stop.set())
        released = reaper.release_deliveries(queue="runs") + reaper.release_deliveries(queue="housekeeping")
        if released:
            log.info("%d tasks of an earlier worker are delivered again", released)
        for name in CLUSTERS:
            self.clusters[name] = start_cluster(name)
        try:
            while not self.stop.is_set():
                self._tend()
                self.stop.wait(BEAT_S)
        finally:
            self._leave()

    def _tend(self) -> None:
        for name, process in self.clusters.items():
            if process.poll() is not None:
                log.warning("cluster %s ended with %s and is started again", name, process.returncode)
                self.clusters[name] = start_cluster(name)
        try:
            close_old_connections()
            beat()
            reaper.reap()
            reaper.forget_old_workers()
        except (DatabaseError, InterfaceError) as error:
            log.warning("the database does not answer: %s", error)
            connection.close()

    def _leave(self) -> None:
        """Stop the runs supervised under this worker, then the clusters."""
        with contextlib.suppress(DatabaseError, InterfaceError):
            stop_supervised_runs({process.pid for process in self.clusters.values()})
        deadline = time.monotonic() + settings.TUNIX_STOP_GRACE_SECONDS + LEAVE_S
        for process in self.clusters.values():
            # The main process alone: a signal to the whole group would hang django-q2.
            process.send_signal(signal.SIGTERM)
        for process in self.clusters.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, deadline - time.monotonic()))
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        with contextlib.suppress(DatabaseError, InterfaceError):
            Worker.objects.filter(host=hostname(), pid=os.getpid()).delete()


def start_cluster(name: str) -> "subprocess.Popen[bytes]":
    """Start a django-q2 cluster for one queue, in a session of its own."""
    environment = dict(os.environ)
    if name != settings.Q_CLUSTER["name"]:
        environment["Q_CLUSTER_NAME"] = name
    return subprocess.Popen(
        [sys.executable, "-m", "runs.cluster", str(os.getpid())],
        cwd=settings.BASE_DIR,
        env=environment,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )


def beat() -> None:
    """Show that this worker lives."""
    Worker.objects.update_or_create(host=hostname(), pid=os.getpid(), defaults={"beat_at": timezone.now()})


def stop_supervised_runs(sessions: set[int]) -> None:
    """Ask every run to stop whose supervisor belongs to one of these sessions."""
    attempts = Attempt.objects.select_related("run").filter(
        host=hostname(), finished_at=None, run__status__in=SUPERVISED
    )
    for attempt in attempts:
        with contextlib.suppress(ProcessLookupError, ConflictError):
            if attempt.supervisor_pid and os.getsid(attempt.supervisor_pid) in sessions:
                services.request_stop(attempt.run, reason="its worker was shut down")
