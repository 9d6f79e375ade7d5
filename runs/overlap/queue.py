"""Let the house-keeping cluster look at the evaluations that wait: never the request, never the training."""

from typing import Final

from django_q.models import OrmQ
from django_q.tasks import async_task

from runs.overlap.checking import claimable

CLUSTER: Final = "housekeeping"
LOOK: Final = "runs.tasks.look_at_evaluations"
# So many waiting jobs are enough: each works off what it finds.
MOST_QUEUED: Final = 2


def ask_where_waiting() -> bool:
    """Queue a look where an evaluation waits and the queue is short; tell whether it did."""
    if OrmQ.objects.filter(key=CLUSTER).count() >= MOST_QUEUED or not claimable().exists():
        return False
    async_task(LOOK, cluster=CLUSTER, task_name="look-at-evaluations")
    return True
