"""The tasks of the queue around a worker: what a dead one had fetched is given back, what is stale goes."""

import logging

from django.utils import timezone
from django_q.models import OrmQ
from django_q.tasks import async_task

from runs import services
from runs.models import Attempt, DeviceLease, Run, Worker
from runs.processes import hostname, is_alive
from runs.queueing import queue_name
from runs.selectors import live_workers
from runs.states import Status
from runs.watching import Watch

log = logging.getLogger(__name__)

ADOPT = "runs.tasks.adopt"
# A claim takes a moment, or ten seconds where a device's last process is still on its way out.
UNCLAIMED_S = 60.0


def release_deliveries(*, queue: str) -> int:
    """Give back the tasks that a dead worker had fetched, so that a live one gets them at once.

    The queue itself would wait for its retry time, which lies beyond any run. Harmless for
    tasks that did run: a second delivery finds nothing to do.
    """
    if any(_works(worker) for worker in live_workers()):
        return 0
    return int(OrmQ.objects.filter(key=queue, lock__gt=timezone.now()).update(lock=timezone.now()))


def _works(worker: Worker) -> bool:
    """Tell whether a worker lives whose heartbeat is fresh: of this host its process tells better."""
    if worker.host != hostname():
        return True
    return is_alive(worker.pid, worker.started_ticks, worker.boot_id)


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


def recall_assigned(*, host: str) -> int:
    """Take back what was handed to queues of this host and not begun; for a drain and a worker's end."""
    prefix = queue_name(host, "")
    waiting = Run.objects.filter(status=Status.QUEUED, assigned_to__startswith=prefix)
    return sum(recall(queue=queue) for queue in set(waiting.values_list("assigned_to", flat=True)))


def recall_stale(*, watch: Watch) -> None:
    """Take back what nobody began: its task, its cluster, its host or its command is gone.

    Also of other hosts, for theirs may be gone for good. ``watch`` tells how long this process has seen a
    run handed out: the claim is guarded, so that one which comes late after all does no harm.
    """
    now = timezone.now()
    for run in Run.objects.filter(status=Status.QUEUED).exclude(assigned_to=""):
        handed_out = (run.attempt, run.assigned_to, run.assigned_at)
        if watch.still_for(("handed out", run.pk), handed_out) < UNCLAIMED_S:
            continue
        if run.assigned_to != services.FOREGROUND:
            log.warning("%s was not begun by %s, and waits for its turn again", run, run.assigned_to)
            recall(queue=run.assigned_to)
        elif run.not_before is None or run.not_before < now:
            services.fail_queued(
                run_id=run.pk,
                attempt=run.attempt,
                reason="the command that was to supervise it ended before it began",
                status=Status.STOPPED,
            )


def offer_for_adoption(attempt: Attempt) -> str:
    """Hand an attempt without a supervisor to the queue of the device that it holds; give its name."""
    queue = queue_name(attempt.host, attempt.device)
    async_task(ADOPT, attempt.pk, cluster=queue, task_name=f"adopt-{attempt.run_id}-{attempt.number}")
    return queue


def leased_keys(*, host: str) -> set[str]:
    """List the devices of a host that runs hold, also ones that are no longer there."""
    return set(DeviceLease.objects.filter(host=host).values_list("device", flat=True))
