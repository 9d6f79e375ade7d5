"""Supervise one attempt of a run: claim it, start its child, feed the database, end it.

The same function serves the queue's worker and ``--foreground``. It never imports JAX: the
work happens in a child process with a session and an environment of its own, which goes on by
itself where its worker dies, until the next worker adopts it.
"""

import contextlib
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

from django.conf import settings
from django.db import InterfaceError, InternalError, OperationalError, connection
from django.utils import timezone

from runs import services
from runs.child_environment import child_environment
from runs.child_process import ChildProcess, FoundChild, OwnChild
from runs.device_lock import DeviceLock, DeviceLockedError
from runs.devices import Device, host_devices
from runs.earlier import set_earlier_aside
from runs.endings import Circumstances, oom_kills
from runs.finishing import finish
from runs.ingest import FencedOutError, ingest_attempt
from runs.journal import LOG_NAME
from runs.models import Attempt, DeviceLease, Run
from runs.processes import hostname, started_at
from runs.states import Status

log = logging.getLogger(__name__)

BEAT_S = 1.0
WAIT_FOR_LOCK_S = 10.0
SLOWEST_S = 30.0
# After so many failures that are no outage an attempt is ended without what it left.
TRIES = 5
# The database is away, locked or read-only; other errors of it would come again.
OUTAGES: tuple[type[Exception], ...] = (OperationalError, InterfaceError, InternalError)


def supervise(
    run_id: int,
    attempt_number: int,
    *,
    device: Device | None = None,
    queue: str = "",
    outlives_supervisor: bool = False,
) -> Status | None:
    """Carry one attempt from the queue to its end.

    A second delivery of the same attempt finds nothing to claim and leaves the run untouched.
    ``device`` is the one to run on (default: the run's own), ``queue`` the one that delivered it.
    ``outlives_supervisor``: the child goes on by itself should this process die.

    Returns:
        How the attempt ended, or None where there was nothing to claim.

    Raises:
        DeviceBusyError: when the device is taken; the run stays queued.
    """
    run = Run.objects.filter(pk=run_id, attempt=attempt_number, status=Status.QUEUED).first()
    if run is None:
        return None
    device = device or _free_device(run)
    lock = DeviceLock(device.key)
    try:
        lock.acquire(holder=f"run {run_id}", wait_s=WAIT_FOR_LOCK_S if queue else 0)
    except DeviceLockedError as error:
        raise services.DeviceBusyError(str(error)) from error
    except OSError as error:
        # Of a disk in trouble the next run would hear the same.
        raise services.DeviceBusyError(f"the lock of {device.key} cannot be taken: {error}") from error
    try:
        attempt = services.claim_run(
            run_id=run_id,
            attempt=attempt_number,
            host=hostname(),
            pid=os.getpid(),
            pid_started=started_at(os.getpid()),
            device=device,
            queue=queue,
            outlives_supervisor=outlives_supervisor,
        )
        return None if attempt is None else Supervision(attempt).start_and_watch(lock)
    finally:
        lock.let_go()


def _free_device(run: Run) -> Device:
    """Give the run's own device; one of the same kind where that is taken and any will do."""
    own = Device.of_run(run)
    taken = set(DeviceLease.objects.filter(host=hostname()).values_list("device", flat=True))
    if own.key not in taken or run.device_pinned:
        return own
    like = (one for one in host_devices() if (one.kind, one.name) == (own.kind, own.name))
    return next((one for one in like if one.key not in taken), own)


def adopt(attempt_id: int) -> Status | None:
    """Go on supervising an attempt whose supervisor died and whose process still works.

    Returns:
        How it ended, or None where there was nothing to adopt (any more).
    """
    attempt = services.adopt_attempt(
        attempt_id=attempt_id, host=hostname(), pid=os.getpid(), pid_started=started_at(os.getpid())
    )
    if attempt is None or attempt.child_pid is None:
        return None
    log.warning("%s is adopted: its process %s works on", attempt, attempt.child_pid)
    with FoundChild(attempt.child_pid, attempt.child_started, attempt.boot_id) as child:
        return Supervision(attempt, adopted=True).watch(child)


class Supervision:
    """The life of one child process, from its start or adoption to its end."""

    def __init__(self, attempt: Attempt, *, adopted: bool = False) -> None:
        self.attempt = attempt
        self.run: Run = attempt.run
        self.adopted = adopted
        self.directory = self.run.attempt_directory(attempt.number)
        self.stop_sent_at = _already_asked(attempt)
        self.stop_now = False
        self.killed = False
        self.in_trouble = False
        self.oom_kills = oom_kills()

    def start_and_watch(self, lock: DeviceLock) -> Status:
        """Start the child, which gets the device's lock, and watch it to its end."""
        try:
            child = self._start(lock)
        except OSError as error:
            return self._finish(Circumstances(trouble=f"its process could not be started: {error}"))
        lock.let_go()
        return self.watch(child)

    def watch(self, child: ChildProcess) -> Status:
        """Watch a child until it ends, and bring its attempt to an end."""
        try:
            while not child.wait(BEAT_S):
                # A disk in trouble is no reason to end a training either.
                status = self._tolerantly(self._beat, also=(OSError,))
                if status is Status.STOPPING:
                    self._stop(child)
        except FencedOutError as fenced:
            log.warning("%s; its process is ended", fenced)
            self._kill(child)
        except BaseException as error:
            if self.attempt.outlives_supervisor:
                # The child works on, and is adopted once `disown` has been heard.
                raise
            self._kill(child)
            child.wait(settings.TUNIX_STOP_GRACE_SECONDS)
            trouble = f"its supervisor failed: {type(error).__name__}: {error}"
            self._finish(self._circumstances(child, trouble=trouble))
            raise
        child.wait(settings.TUNIX_STOP_GRACE_SECONDS)
        return self._finish(self._circumstances(child))

    def _start(self, lock: DeviceLock) -> ChildProcess:
        set_earlier_aside(self.attempt)
        self.directory.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "execute_run"]
        command += [str(self.run.pk), str(self.attempt.number), "--supervisor-pid", str(os.getpid())]
        with (self.directory / LOG_NAME).open("ab") as log_file:
            child = subprocess.Popen(
                command,
                cwd=settings.BASE_DIR,
                env=child_environment(self.run),
                stdin=subprocess.DEVNULL,
                stdout=log_file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=[lock.fileno],
            )
        self.attempt.child_pid = child.pid
        self.attempt.child_started = started_at(child.pid)
        self._tolerantly(lambda: self.attempt.save(update_fields=["child_pid", "child_started"]))
        return OwnChild(child)

    def _beat(self) -> Status:
        """Store what the child wrote, show life, and see whether a stop was asked for."""
        ingest_attempt(self.attempt)
        status = services.heartbeat(run_id=self.run.pk, attempt=self.attempt.number)
        if status is None:
            status = services.revive(self.attempt)
        if status is None:
            raise FencedOutError(f"{self.attempt} no longer holds its run")
        if status is Status.STOPPING:
            self.run.refresh_from_db(fields=["stop_now"])
            self.stop_now = self.run.stop_now
        return status

    def _stop(self, child: ChildProcess) -> None:
        """Climb the ladder: ask for a checkpoint, wait for it, then end the process by force."""
        if self.stop_sent_at is None:
            self.stop_sent_at = time.monotonic()
            self._note(stop_sent_at=timezone.now())
            if not self.stop_now:
                child.stop()
        waited = time.monotonic() - self.stop_sent_at
        if not self.killed and (self.stop_now or waited > settings.TUNIX_STOP_GRACE_SECONDS):
            self._kill(child)

    def _kill(self, child: ChildProcess) -> None:
        self.killed = True
        child.kill()
        self._note(killed_at=timezone.now())

    def _note(self, **times: object) -> None:
        self._tolerantly(lambda: Attempt.objects.filter(pk=self.attempt.pk).update(**times))

    def _circumstances(self, child: ChildProcess, *, trouble: str = "") -> Circumstances:
        before, after = self.oom_kills, oom_kills()
        return Circumstances(
            exit_code=child.exit_code,
            stop_sent=self.stop_sent_at is not None,
            killed=self.killed,
            stop_now=self.stop_now,
            adopted=self.adopted,
            out_of_memory=before is not None and after is not None and after > before,
            trouble=trouble,
        )

    def _finish(self, seen: Circumstances) -> Status:
        """Store the rest of the journal and the end; tried until the database takes it.

        What else fails again and again (a disk, a file that cannot be read) costs what could not be
        stored, but not the end itself: a run must not stay at work for ever.
        """
        failures = 0
        while True:
            try:
                outcome = self._tolerantly(partial(finish, self.attempt, seen, bare=failures >= TRIES))
            except Exception:
                failures += 1
                log.exception("%s could not be ended (try %d)", self.attempt, failures)
                drop_connection()
                outcome = None
            if outcome is not None:
                return outcome
            time.sleep(min(SLOWEST_S, BEAT_S * (1 + failures)))

    def _tolerantly[Result](
        self, action: Callable[[], Result], *, also: tuple[type[Exception], ...] = ()
    ) -> Result | None:
        """Do something with the database; while it is away, training goes on without it.

        ``also``: further errors that are borne.
        """
        try:
            result = action()
        except OUTAGES + also as error:
            if not self.in_trouble:
                log.warning("%s: not told, training goes on (%s)", self.attempt, error)
            self.in_trouble = True
            drop_connection()
            return None
        if self.in_trouble:
            log.warning("%s: told again", self.attempt)
            self.in_trouble = False
        return result


def disown(pid: int) -> None:
    """Say that this process supervises nothing any more, so that what it left is adopted or ended.

    Tried until the database takes it: as long as the row names a process that lives, nobody else acts.
    """
    while True:
        try:
            left = Attempt.objects.filter(host=hostname(), finished_at=None, supervisor_pid=pid)
            left.filter(outlives_supervisor=True).update(supervisor_pid=None, supervisor_started=None)
        except Exception:
            log.exception("what this process supervised could not be given up yet")
            drop_connection()
            time.sleep(BEAT_S)
        else:
            return


def _already_asked(attempt: Attempt) -> float | None:
    """Give the moment, by the monotonic clock, at which a supervisor before this one sent the stop.

    It must not be sent again: a second signal ends the process at once, without its checkpoint.
    """
    if attempt.stop_sent_at is None:
        return None
    waited = (timezone.now() - attempt.stop_sent_at).total_seconds()
    return time.monotonic() - min(max(waited, 0.0), settings.TUNIX_STOP_GRACE_SECONDS)


def drop_connection() -> None:
    """Close a broken connection, so that the next query opens a new one."""
    if connection.in_atomic_block:
        return
    with contextlib.suppress(Exception):
        connection.close()
