"""The states of a run and the changes between them that are allowed.

Every change goes through `runs.services` as one guarded UPDATE; nothing else writes
`Run.status`.
"""

from django.db import models


class Status(models.TextChoices):
    """Where a run stands."""

    DRAFT = "draft", "draft"
    QUEUED = "queued", "queued"
    STARTING = "starting", "starting"
    RUNNING = "running", "running"
    STOPPING = "stopping", "stopping"
    STOPPED = "stopped", "stopped"
    COMPLETED = "completed", "completed"
    FAILED = "failed", "failed"
    LOST = "lost", "lost"


class Kind(models.TextChoices):
    """What a run does with its device."""

    TRAIN = "train", "training"
    EVALUATE = "evaluate", "evaluation"
    GENERATE = "generate", "generation"
    BENCH = "bench", "benchmark"


# A supervisor holds these: they have a device lease and a heartbeat.
SUPERVISED = frozenset({Status.STARTING, Status.RUNNING, Status.STOPPING})
# Something will still happen by itself.
ALIVE = SUPERVISED | {Status.QUEUED}
# Ended before its last step, so it can be taken up again.
INTERRUPTED = frozenset({Status.STOPPED, Status.FAILED, Status.LOST})
ENDED = INTERRUPTED | {Status.COMPLETED}

ALLOWED: dict[Status, frozenset[Status]] = {
    Status.DRAFT: frozenset({Status.QUEUED}),
    Status.QUEUED: frozenset({Status.STARTING, Status.STOPPED, Status.FAILED}),
    Status.STARTING: frozenset(
        {Status.RUNNING, Status.STOPPING, Status.STOPPED, Status.COMPLETED, Status.FAILED, Status.LOST}
    ),
    Status.RUNNING: frozenset(
        {Status.STOPPING, Status.STOPPED, Status.COMPLETED, Status.FAILED, Status.LOST}
    ),
    Status.STOPPING: frozenset({Status.STOPPED, Status.COMPLETED, Status.FAILED, Status.LOST}),
    Status.STOPPED: frozenset({Status.QUEUED}),
    Status.FAILED: frozenset({Status.QUEUED}),
    Status.LOST: frozenset({Status.QUEUED}),
    Status.COMPLETED: frozenset(),
}


def sources_of(target: Status) -> frozenset[Status]:
    """Give the states from which ``target`` may be reached in one change."""
    return frozenset(source for source, targets in ALLOWED.items() if target in targets)
