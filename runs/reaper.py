"""Find attempts that nobody supervises any more: end them, or name those that a worker can adopt.

On the same host the processes themselves tell, at once and whatever the clocks say. Of another host only
the heartbeat does, and it is judged by how long *this* process has watched it stand still: a clock that
was set, a reaper that has just begun or a database that was away makes no run look silent.
"""

import contextlib
import datetime as dt
import logging
import os
import signal
import time
from collections.abc import Callable

from django.db import DatabaseError, InterfaceError
from django.utils import timezone

from runs.endings import Circumstances
from runs.finishing import finish
from runs.models import Attempt, DeviceLease, Run, Worker
from runs.processes import boot_id, hostname, is_alive
from runs.states import SUPERVISED, Status
from runs.watching import Watch

log = logging.getLogger(__name__)

SILENT_ELSEWHERE_S = 45.0
# From the start of a child's process until it says which one it is.
SIGN_IN_S = 10.0
# What a child gets for its checkpoint that was to stop with its supervisor.
ORPHAN_GRACE_S = 120.0
# A supervisor beats every second, but for what a locked database makes it wait.
LEFT_S = 90.0


class Reaper:
    """Looks again and again, and remembers between two looks."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.watch = Watch(clock)
        self.orphans: list[Attempt] = []

    def look(self, *, elsewhere: bool = True) -> list[Run]:
        """End every attempt that nobody works on or supervises any more.

        ``orphans`` then lists those of this host whose process works on without a supervisor.

        Returns:
            The runs that were lost.
        """
        self.watch.begin_look()
        self.orphans = []
        lost = []
        attempts = Attempt.objects.select_related("run").filter(finished_at=None, run__status__in=SUPERVISED)
        for attempt in attempts:
            if attempt.number != attempt.run.attempt:
                continue
            here = attempt.host == hostname()
            reason = self._gone_here(attempt) if here else self._gone_elsewhere(attempt) if elsewhere else ""
            if reason and self._end(attempt, reason) is Status.LOST:
                log.warning("%s is lost: %s", attempt, reason)
                attempt.run.refresh_from_db()
                lost.append(attempt.run)
        DeviceLease.objects.exclude(run__status__in=SUPERVISED).delete()
        return lost

    def _end(self, attempt: Attempt, reason: str) -> Status | None:
        try:
            return finish(attempt, Circumstances(gone=reason))
        except (DatabaseError, InterfaceError):
            raise
        except Exception:
            # What one attempt left must not keep all others from being ended.
            log.exception("%s could not be ended, and will be tried again", attempt)
            return None

    def _gone_here(self, attempt: Attempt) -> str:
        """Say why nobody works on an attempt of this host, or nothing where somebody does."""
        if attempt.boot_id and attempt.boot_id != boot_id():
            return "its host was restarted"
        if is_alive(attempt.supervisor_pid, attempt.supervisor_started):
            return self._gone_with_a_live_supervisor(attempt)
        if attempt.child_pid is None:
            # It may be on its way, and says so itself.
            unsigned = self.watch.still_for(("unsigned", attempt.pk)) < SIGN_IN_S
            return "" if unsigned and attempt.outlives_supervisor else "its supervisor died"
        if not is_alive(attempt.child_pid, attempt.child_started):
            return "its supervisor died" + (", and its process" if attempt.outlives_supervisor else "")
        if attempt.outlives_supervisor:
            self.orphans.append(attempt)
            return ""
        if self.watch.still_for(("orphan", attempt.pk)) < ORPHAN_GRACE_S:
            return ""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(attempt.child_pid, signal.SIGKILL)
        return "its supervisor died"

    def _gone_with_a_live_supervisor(self, attempt: Attempt) -> str:
        """Find an attempt that its supervisor left, though it lives: its child is dead, nothing beats."""
        if is_alive(attempt.child_pid, attempt.child_started):
            return ""
        still = self.watch.still_for(("beat here", attempt.pk), attempt.run.heartbeat_at)
        return "its supervisor left it" if still > LEFT_S else ""

    def _gone_elsewhere(self, attempt: Attempt) -> str:
        still = self.watch.still_for(("beat", attempt.pk), attempt.run.heartbeat_at)
        if still < SILENT_ELSEWHERE_S:
            return ""
        return f"no heartbeat from {attempt.host} for {still:.0f} s"


def reap_here() -> list[Run]:
    """End what the processes of this machine show to be over. Returns the runs that were lost."""
    return Reaper().look(elsewhere=False)


def is_anyone_silent_elsewhere() -> bool:
    """Tell whether runs of other hosts look silent, so that watching them a while is worth it."""
    long_ago = timezone.now() - dt.timedelta(seconds=SILENT_ELSEWHERE_S)
    at_work = Run.objects.filter(status__in=SUPERVISED, heartbeat_at__lt=long_ago)
    return at_work.filter(attempts__finished_at=None).exclude(attempts__host=hostname()).exists()


def forget_old_workers() -> None:
    """Delete the heartbeat rows of workers that stopped long ago."""
    Worker.objects.filter(beat_at__lt=timezone.now() - dt.timedelta(days=1)).delete()
