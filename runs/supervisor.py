"""Supervise one attempt of a run: claim it, start its child, feed the database, end it.

The same function serves the queue's worker and ``--foreground``. It never imports JAX: the
work happens in a child process with a session and an environment of its own.
"""

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections, connection

from runs import services
from runs.child_environment import child_environment
from runs.ingest import FencedOutError, ingest_attempt
from runs.journal import LOG_NAME, storable
from runs.models import Attempt, Run
from runs.processes import hostname, started_at
from runs.states import Status
from runs.stopping import EXIT_FORCED

log = logging.getLogger(__name__)

BEAT_S = 1.0
WAIT_FOR_DEVICE_S = 2.0
LOG_TAIL_LINES = 20


def supervise(run_id: int, attempt_number: int, *, wait_for_device: bool = True) -> Status | None:
    """Carry one attempt from the queue to its end.

    A second delivery of the same attempt finds nothing to claim and leaves the run untouched.

    Returns:
        How the attempt ended, or None where there was nothing to claim.

    Raises:
        DeviceBusyError: when the device is taken and ``wait_for_device`` is False.
    """
    attempt = _claim(run_id, attempt_number, wait_for_device=wait_for_device)
    return None if attempt is None else _Supervision(attempt).carry_out()


def _claim(run_id: int, number: int, *, wait_for_device: bool) -> Attempt | None:
    while True:
        try:
            return services.claim_run(
                run_id=run_id,
                attempt=number,
                host=hostname(),
                pid=os.getpid(),
                pid_started=started_at(os.getpid()),
            )
        except services.DeviceBusyError as busy:
            if not wait_for_device:
                raise
            if not services.note_waiting(run_id=run_id, attempt=number, reason=str(busy)):
                return None
        time.sleep(WAIT_FOR_DEVICE_S)


class _Supervision:
    """The life of one child process."""

    def __init__(self, attempt: Attempt) -> None:
        self.attempt = attempt
        self.run: Run = attempt.run
        self.directory = self.run.attempt_directory(attempt.number)
        self.stop_sent_at: float | None = None
        self.killed = False
        self.database_gone = False

    def carry_out(self) -> Status:
        try:
            child = self._start()
        except OSError as error:
            return self._finish(None, trouble=f"its process could not be started: {error}")
        try:
            self._watch(child)
        except FencedOutError as fenced:
            log.warning("%s; its child is ended", fenced)
            self._kill(child)
        except BaseException as error:
            # Whatever ends this process early, the child must not train on as a stranger.
            self._kill(child)
            self._finish(child.wait(), trouble=f"its supervisor failed: {type(error).__name__}: {error}")
            raise
        return self._finish(child.wait())

    def _start(self) -> "subprocess.Popen[bytes]":
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
            )
        self.attempt.child_pid = child.pid
        self.attempt.child_started = started_at(child.pid)
        self._tolerantly(lambda: self.attempt.save(update_fields=["child_pid", "child_started"]))
        return child

    def _watch(self, child: "subprocess.Popen[bytes]") -> None:
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(BEAT_S)
                return
            status = self._tolerantly(self._beat)
            if status is Status.STOPPING and self.stop_sent_at is None:
                self.stop_sent_at = time.monotonic()
                child.send_signal(signal.SIGTERM)
            if self.stop_sent_at is not None and not self.killed:
                waited = time.monotonic() - self.stop_sent_at
                if waited > settings.TUNIX_STOP_GRACE_SECONDS:
                    self._kill(child)

    def _beat(self) -> Status:
        """Store what the child wrote, show life, and see whether a stop was asked for."""
        ingest_attempt(self.attempt)
        status = services.heartbeat(run_id=self.run.pk, attempt=self.attempt.number)
        if status is None:
            raise FencedOutError(f"{self.attempt} no longer holds its run")
        return status

    def _tolerantly[Result](self, action: Callable[[], Result]) -> Result | None:
        """Do something with the database; while it is away, training goes on without it."""
        try:
            result = action()
        except (DatabaseError, InterfaceError) as error:
            if not self.database_gone:
                log.warning("%s: the database does not answer, training goes on (%s)", self.attempt, error)
            self.database_gone = True
            _drop_connection()
            return None
        if self.database_gone:
            log.warning("%s: the database answers again", self.attempt)
            self.database_gone = False
        return result

    def _kill(self, child: "subprocess.Popen[bytes]") -> None:
        self.killed = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)

    def _finish(self, exit_code: int | None, *, trouble: str = "") -> Status:
        """Store the rest of the journal and the end; tried until the database takes it.

        ``exit_code`` is None where there was no child; ``trouble`` is what else went wrong.
        """
        while True:
            outcome = self._tolerantly(lambda: self._end(exit_code, trouble))
            if outcome is not None:
                return outcome
            time.sleep(BEAT_S)

    def _end(self, exit_code: int | None, trouble: str) -> Status:
        self.attempt.refresh_from_db()
        with contextlib.suppress(FencedOutError):
            ingest_attempt(self.attempt)
        status, reason = self._verdict(exit_code, trouble)
        error = self._log_tail() if status is Status.FAILED else ""
        services.finish_attempt(attempt=self.attempt, status=status, reason=reason, error=error)
        return Status(self.attempt.status)

    def _verdict(self, exit_code: int | None, trouble: str) -> tuple[Status, str]:
        word = self.attempt.last_word
        if word:
            # It stands on the disk and nothing came after it, however the process then ended.
            return Status(word["status"]), word.get("reason", "")
        if trouble or exit_code is None:
            return Status.FAILED, trouble
        if exit_code == EXIT_FORCED:
            return Status.STOPPED, "a second signal ended it at once; its newest checkpoint is what it has"
        if self.stop_sent_at is not None and exit_code < 0:
            if not self.killed:
                return Status.STOPPED, "stopped before its work began"
            grace = settings.TUNIX_STOP_GRACE_SECONDS
            return Status.STOPPED, f"ended by force: it did not stop within {grace} s"
        if exit_code < 0:
            name = signal.Signals(-exit_code).name
            hint = " (out of memory, or by hand)" if name == "SIGKILL" else ""
            return Status.FAILED, f"its process was ended by {name}{hint}"
        return Status.FAILED, f"its process ended with exit code {exit_code}"

    def _log_tail(self) -> str:
        try:
            text = (self.directory / LOG_NAME).read_text(errors="replace")
        except OSError:
            return ""
        return storable("\n".join(text.splitlines()[-LOG_TAIL_LINES:]))


def _drop_connection() -> None:
    """Close a broken connection, so that the next query opens a new one."""
    if connection.in_atomic_block:
        return
    with contextlib.suppress(Exception):
        connection.close()


class SupervisorThread(threading.Thread):
    """Supervises one attempt beside the main thread, for ``--foreground``."""

    def __init__(self, run_id: int, attempt: int) -> None:
        super().__init__(name=f"supervise-{run_id}", daemon=True)
        self._ids = (run_id, attempt)
        self.error: Exception | None = None
        self.claimed: Status | None = None

    def run(self) -> None:
        """Supervise; what goes wrong is kept in ``error`` for the main thread."""
        try:
            self.claimed = supervise(*self._ids, wait_for_device=False)
        except Exception as error:
            self.error = error
        finally:
            close_old_connections()
            connection.close()
