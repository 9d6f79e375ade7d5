"""Let the house-keeping cluster look at the evaluations that wait: never the request, never the training."""

import time
from typing import Final

from django_q.models import OrmQ
from django_q.tasks import async_task

from runs.overlap.checking import SILENT_AFTER, lost, waiting

CLUSTER: Final = "housekeeping"
LOOK: Final = "runs.tasks.look_at_evaluations"
# So many waiting jobs are enough: each works off what it finds.
MOST_QUEUED: Final = 2
# Lost claims are as old as this, and finding them reads every evaluation.
LOST_EVERY_S: Final = SILENT_AFTER.total_seconds()


class Asking:
    """Asks for looks; evaluations that wait are asked for every time, lost claims now and then."""

    def __init__(self) -> None:
        """Begin with lost claims due: a process that died may be why this one starts."""
        self._lost_due = 0.0

    def ask_where_waiting(self) -> bool:
        """Queue a look where an evaluation waits and the queue is short; tell whether it did."""
        if OrmQ.objects.filter(key=CLUSTER).count() >= MOST_QUEUED or not self._any():
            return False
        async_task(LOOK, cluster=CLUSTER, task_name="look-at-evaluations")
        return True

    def _any(self) -> bool:
        if waiting().exists():
            return True
        now = time.monotonic()
        if now < self._lost_due:
            return False
        self._lost_due = now + LOST_EVERY_S
        return lost().exists()
