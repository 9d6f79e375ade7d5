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
    PLAYGROUND = "playground", "playground"
    IMPORTED = "imported", "imported history"


class Cause(models.TextChoices):
    """What ended an attempt."""

    COMPLETED = "completed", "did all its steps"
    STOPPED = "stopped", "was asked to stop"
    FORCED = "forced", "was ended by force"
    SIGNAL = "signal", "a signal ended its process"
    HOST_MEMORY = "host_memory", "the host was out of memory"
    DEVICE_MEMORY = "device_memory", "the device was out of memory"
    NOT_FINITE = "not_finite", "loss or gradient was not finite"
    EXCEPTION = "exception", "an error in the program"
    REFUSED = "refused", "recipe, data, checkpoint or device did not go together"
    NO_START = "no_start", "its process could not be started"
    SUPERVISOR = "supervisor", "its supervisor or host is gone"
    FENCED = "fenced", "another attempt had taken over"
    MARKED = "marked", "a person marked it as stopped"
    UNKNOWN = "unknown", "it left no word"


# A supervisor holds these: they have a device lease and a heartbeat.
SUPERVISED = frozenset({Status.STARTING, Status.RUNNING, Status.STOPPING})
# Something will still happen by itself.
ALIVE = SUPERVISED | {Status.QUEUED}
# Ended before its last step, so it can be taken up again.
INTERRUPTED = frozenset({Status.STOPPED, Status.FAILED, Status.LOST})
ENDED = INTERRUPTED | {Status.COMPLETED}
# What goes on where it was cut off, from its own files; every other kind begins again.
RESUMABLE = frozenset({Kind.TRAIN, Kind.EVALUATE})

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
    # Besides a resume: its process answers again and takes back its device, or what it left tells its end.
    Status.LOST: frozenset(
        {
            Status.QUEUED,
            Status.RUNNING,
            Status.STOPPING,
            Status.STOPPED,
            Status.COMPLETED,
            Status.FAILED,
        }
    ),
    Status.COMPLETED: frozenset(),
}


def sources_of(target: Status) -> frozenset[Status]:
    """Give the states from which ``target`` may be reached in one change."""
    return frozenset(source for source, targets in ALLOWED.items() if target in targets)
