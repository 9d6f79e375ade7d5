"""Supervise a run beside the main thread of a command (``--foreground``), restarts included."""

import contextlib
import threading
import time

from django.db import close_old_connections, connection
from django.utils import timezone

from runs import services
from runs.models import Run
from runs.states import Status
from runs.supervisor import BEAT_S, OUTAGES, drop_connection, supervise


class SupervisorThread(threading.Thread):
    """Supervises one attempt beside the main thread, for ``--foreground``."""

    def __init__(self, run_id: int, attempt: int) -> None:
        super().__init__(name=f"supervise-{run_id}", daemon=True)
        self._ids = (run_id, attempt)
        self.error: Exception | None = None
        self.claimed: Status | None = None

    def run(self) -> None:
        """Supervise, restarts included; what goes wrong is kept in ``error`` for the main thread."""
        run_id, number = self._ids
        try:
            while True:
                self.claimed = supervise(run_id, number)
                again = _restart_due(run_id, number)
                if again is None:
                    return
                number = again
        except Exception as error:
            self.error = error
        finally:
            close_old_connections()
            connection.close()


def _restart_due(run_id: int, number: int) -> int | None:
    """Wait for the restart of a run that a command supervises; give its attempt, None where there is none."""
    while True:
        with contextlib.suppress(*OUTAGES):
            run = Run.objects.filter(pk=run_id, attempt__gt=number, assigned_to=services.FOREGROUND).first()
            if run is None or run.status != Status.QUEUED:
                return None
            if run.not_before is None or run.not_before <= timezone.now():
                return run.attempt
        drop_connection()
        time.sleep(BEAT_S)
