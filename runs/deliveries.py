"""The tasks of the queue around a worker: what a dead one had fetched is given back, what is stale goes."""

import datetime as dt

from django.utils import timezone
from django_q.models import OrmQ
from django_q.tasks import async_task

from runs import services
from runs.models import Attempt, DeviceLease, Run
from runs.queueing import queue_name
from runs.selectors import live_workers
from runs.states import Status

ADOPT = "runs.tasks.adopt"
UNCLAIMED_AFTER = dt.timedelta(seconds=30)
# The command that supervises a run itself claims it within a moment.
COMMAND_GONE_AFTER = dt.timedelta(seconds=60)


def release_deliveries(*, queue: str) -> int:
    """Give back the tasks that a dead worker had fetched, so that a live one gets them at once.

    The queue itself would wait for its retry time, which lies beyond any run. Harmless for
    tasks that did run: a second delivery finds nothing to do.
    """
    if live_workers().exists():
        return 0
    return int(OrmQ.objects.filter(key=queue, lock__gt=timezone.now()).update(lock=timezone.now()))


def recall(*, queue: str) -> int:
    """Take back what was handed to a device's queue whose cluster is gone, and delete its tasks.

    The runs wait for their turn again; a run that was claimed is none of these.
    """
    OrmQ.objects.filter(key=queue).delete()
    waiting = Run.objects.filter(status=Status.QUEUED, assigned_to=queue)
    return sum(
        services.take_back(run_id=pk, attempt=attempt, queue=queue)
        for pk, attempt in waiting.values_list("pk", "attempt")
    )


def recall_all(*, host: str) -> int:
    """Take back everything that was handed to queues of this host; for a worker's start."""
    prefix = queue_name(host, "")
    # Tasks of the one queue that all devices shared in earlier versions.
    OrmQ.objects.filter(key="runs").delete()
    queues = {
        *OrmQ.objects.filter(key__startswith=prefix).values_list("key", flat=True),
        *Run.objects.filter(status=Status.QUEUED, assigned_to__startswith=prefix).values_list(
            "assigned_to", flat=True
        ),
    }
    return sum(recall(queue=queue) for queue in queues)


def recall_stale(*, host: str) -> None:
    """Take back what no task will start any more: its task is gone, or its command."""
    now = timezone.now()
    waiting = Run.objects.filter(status=Status.QUEUED)
    for run in waiting.filter(assigned_to=services.FOREGROUND, assigned_at__lt=now - COMMAND_GONE_AFTER):
        services.fail_queued(
            run_id=run.pk,
            attempt=run.attempt,
            reason="the command that was to supervise it ended before it began",
            status=Status.STOPPED,
        )
    prefix = queue_name(host, "")
    for run in waiting.filter(assigned_to__startswith=prefix, assigned_at__lt=now - UNCLAIMED_AFTER):
        if not OrmQ.objects.filter(key=run.assigned_to).exists():
            services.take_back(run_id=run.pk, attempt=run.attempt, queue=run.assigned_to)


def offer_for_adoption(attempt: Attempt) -> str:
    """Hand an attempt without a supervisor to the queue of the device that it holds; give its name."""
    queue = queue_name(attempt.host, attempt.device)
    async_task(ADOPT, attempt.pk, cluster=queue, task_name=f"adopt-{attempt.run_id}-{attempt.number}")
    return queue


def leased_keys(*, host: str) -> set[str]:
    """List the devices of a host that runs hold, also ones that are no longer there."""
    return set(DeviceLease.objects.filter(host=host).values_list("device", flat=True))
