"""The worker of a host: it keeps the clusters, hands out waiting runs, reaps, and leaves in order.

It trains nothing and runs no task itself, so nothing keeps it from its rounds. Told to end (SIGTERM) it
leaves its trainings at work, for the next worker to adopt; drained (`manage.py drain`, Ctrl-C) it first
stops them with a checkpoint.
"""

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable

from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections, connection
from django.utils import timezone

from runs import reaper, services
from runs.clusters import Clusters, give_back_housekeeping
from runs.deliveries import leased_keys, offer_for_adoption, recall_all, recall_assigned, recall_stale
from runs.device_lock import DeviceLock, DeviceLockedError
from runs.inventory import refresh_inventory
from runs.models import Attempt, HostDevice, Worker
from runs.overlap.queue import Asking
from runs.processes import boot_id, hostname, is_alive, started_at
from runs.queueing import hand_out
from runs.states import SUPERVISED
from runs.store import store_id
from tunix_site import __version__
from tunix_site.errors import ConflictError

log = logging.getLogger(__name__)

TICK_S = 1.0
BEAT_S = 4.0
REAP_S = 2.0
INVENTORY_S = 5.0
EVALUATIONS_S = 5.0
ADOPT_AGAIN_S = 30.0
LEAVE_S = 20.0


class WorkerProcess:
    """One host's worker, from its start to its end."""

    def __init__(self) -> None:
        self.clusters = Clusters()
        self.reaper = reaper.Reaper()
        self.stop = threading.Event()
        self.wake = threading.Event()
        self.draining_since: float | None = None
        self._quiet_rounds = 0
        self._due: dict[str, float] = {}
        self._asking = Asking()
        self._offered: dict[int, float] = {}

    def work(self) -> None:
        """Work until SIGTERM, SIGINT or a drain.

        Raises:
            ConflictError: where this host has a worker already.
        """
        lock = _only_worker()
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: self._stop())
        signal.signal(signal.SIGINT, lambda *_: self._interrupted())
        try:
            # Rows of earlier ones, dead by now; one may have had this pid and been asked to drain.
            Worker.objects.filter(host=hostname()).delete()
            released = recall_all(host=hostname()) + give_back_housekeeping()
            if released:
                log.info("%d deliveries of an earlier worker are made again", released)
            self.reaper.look()
            refresh_inventory()
            threading.Thread(target=self._watch_devices, daemon=True, name="inventory").start()
            while not self.stop.is_set():
                self._tick()
                self.wake.wait(TICK_S)
        finally:
            self._leave()
            lock.let_go()

    def _stop(self) -> None:
        self.stop.set()
        self.wake.set()

    def _interrupted(self) -> None:
        """Ctrl-C stops the runs with checkpoints; a second one leaves them at work."""
        if self.draining_since is not None:
            self._stop()
            return
        log.warning("stopping the runs of this worker with checkpoints; Ctrl-C again leaves them at work")
        self.draining_since = time.monotonic()

    def _tick(self) -> None:
        """Make one round; what is not due yet is left out, and nothing that fails keeps the rest from it."""
        close_old_connections()
        rounds: tuple[tuple[Callable[[], object], float], ...] = (
            (self._tend, 0.0),
            (self._beat, BEAT_S),
            (self._reap, REAP_S),
            (self._drain if self.draining_since is not None else self._hand_out, 0.0),
            (self._look_at_evaluations, EVALUATIONS_S),
        )
        for action, every in rounds:
            name, now = action.__name__, time.monotonic()
            if now < self._due.get(name, 0.0):
                continue
            self._due[name] = now + every
            try:
                action()
            except (DatabaseError, InterfaceError) as error:
                log.warning("the database does not answer: %s", error)
                # What was silent before may only have been as cut off as this process.
                self.reaper.watch.forget()
                connection.close()
                return
            except Exception:
                log.exception("a part of the worker's round failed, and it goes on")

    def _tend(self) -> None:
        devices = HostDevice.objects.filter(host=hostname(), usable=True).values_list("key", flat=True)
        self.clusters.tend(set(devices) | leased_keys(host=hostname()))

    def _hand_out(self) -> None:
        hand_out(host=hostname(), store=store_id(), queues=self.clusters.serving())

    def _beat(self) -> None:
        row, _ = Worker.objects.update_or_create(
            host=hostname(),
            pid=os.getpid(),
            defaults={
                "beat_at": timezone.now(),
                "boot_id": boot_id(),
                "started_ticks": started_at(os.getpid()),
                "store": store_id(),
                "version": __version__,
                "clusters": self.clusters.facts(),
            },
        )
        if row.drain_requested_at and self.draining_since is None:
            log.warning("drained: stopping the runs of this worker with checkpoints")
            self.draining_since = time.monotonic()

    def _reap(self) -> None:
        self.reaper.look()
        reaper.forget_old_workers()
        recall_stale(watch=self.reaper.watch)
        now = time.monotonic()
        for attempt in self.reaper.orphans:
            if now >= self._offered.get(attempt.pk, 0.0):
                self._offered[attempt.pk] = now + ADOPT_AGAIN_S
                offer_for_adoption(attempt)

    def _look_at_evaluations(self) -> None:
        """Let the house-keeping cluster look at evaluations that nobody looked at yet."""
        self._asking.ask_where_waiting()

    def _drain(self) -> None:
        """Stop what this host trains, and leave when all of it has ended."""
        at_work = Attempt.objects.select_related("run").filter(
            host=hostname(), finished_at=None, outlives_supervisor=True, run__status__in=SUPERVISED
        )
        waited = time.monotonic() - (self.draining_since or 0.0)
        recalled = recall_assigned(host=hostname())
        left = list(at_work)
        for attempt in left:
            with contextlib.suppress(ConflictError):
                services.request_stop(attempt.run, reason="its worker is drained")
        # Twice in a row, for what was taken back may have been claimed in between.
        self._quiet_rounds = 0 if left or recalled else self._quiet_rounds + 1
        if self._quiet_rounds >= 2 or waited > settings.TUNIX_STOP_GRACE_SECONDS + LEAVE_S:
            self._stop()

    def _watch_devices(self) -> None:
        """Look at the devices in a thread of its own: a driver in trouble may take long to answer."""
        while not self.stop.wait(INVENTORY_S):
            try:
                close_old_connections()
                refresh_inventory()
            except (DatabaseError, InterfaceError) as error:
                log.debug("the inventory was not stored: %s", error)
                connection.close()
            except Exception:
                log.exception("the devices could not be looked at")

    def _leave(self) -> None:
        self.clusters.leave()
        with contextlib.suppress(DatabaseError, InterfaceError):
            recall_assigned(host=hostname())
            Worker.objects.filter(host=hostname(), pid=os.getpid()).delete()


def _only_worker() -> DeviceLock:
    """Make sure that this is the only worker of its host: two would hand out the same devices."""
    for row in Worker.objects.filter(host=hostname()):
        if row.pid != os.getpid() and is_alive(row.pid, row.started_ticks, row.boot_id):
            raise _taken(str(row.pid))
    try:
        return DeviceLock("worker").acquire(holder=f"worker {os.getpid()}")
    except DeviceLockedError as error:
        raise _taken(str(error)) from error


def _taken(who: str) -> ConflictError:
    return ConflictError(
        f"This host has a worker already ({who}).",
        hint="One serves all devices. End it with `manage.py drain`, or leave it at work.",
    )
