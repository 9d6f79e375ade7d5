"""The queue of runs: which device takes which run next, and how people change the order.

A run waits in the table of runs itself, ordered by priority and position. Each host's worker hands
the next one that fits to the queue of a device of its own that is free; the row and the queue's task
are written together, so neither is ever there alone.
"""

import datetime as dt
import hashlib
from typing import Literal

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from runs.models import Checkpoint, DeviceLease, HostDevice, Run
from runs.services import Actor, assign_run, audit
from runs.states import Status
from tunix_site.errors import ConflictError, InvalidInputError

PREFIX = "runs@"
# A queue's name has 100 characters; the longest key is that of a card.
LONGEST_HOST = 48
PRIORITIES = (-1000, 1000)
Where = Literal["first", "up", "down", "last"]


def queue_name(host: str, key: str) -> str:
    """Name the queue, and so the cluster, of one device of one host."""
    short = host if len(host) <= LONGEST_HOST else hashlib.sha256(host.encode()).hexdigest()[:LONGEST_HOST]
    return f"{PREFIX}{short}/{key}"


def waiting_runs() -> QuerySet[Run]:
    """List what waits, in the order in which it is taken."""
    return Run.objects.filter(status=Status.QUEUED).order_by("-priority", "queue_position", "id")


def fitting_runs(device: HostDevice, *, store: str, now: dt.datetime | None = None) -> QuerySet[Run]:
    """List the waiting runs that this device may take, in order.

    ``store`` names the artifacts folder of the device's host: a run goes on only where its files are. One
    that began on a GPU goes on only on the same model, for another one computes other bits.
    """
    this_very = Q(host__in=["", device.host]) & (
        Q(device_uuid=device.key) | Q(device_uuid="", device_index=device.index)
    )
    same_model = Q(device_name="") | Q(device_name=device.name)
    rows = waiting_runs().filter(
        Q(not_before=None) | Q(not_before__lte=now or timezone.now()),
        Q(store="") | Q(store=store),
        Q(device_pinned=False) | this_very,
        assigned_to="",
        device_kind=device.kind,
    )
    begun = Checkpoint.objects.filter(run=OuterRef("pk"))
    return rows if device.kind == "cpu" else rows.filter(~Exists(begun) | same_model)


def hand_out(*, host: str, store: str, queues: set[str]) -> list[Run]:
    """Give each free device of this host the next run that fits; ``queues`` are those that are served.

    Returns:
        The runs that were handed out.
    """
    leased = set(DeviceLease.objects.filter(host=host).values_list("device", flat=True))
    promised = set(
        Run.objects.filter(status=Status.QUEUED).exclude(assigned_to="").values_list("assigned_to", flat=True)
    )
    handed = []
    for device in HostDevice.objects.filter(host=host, usable=True, trouble="").order_by("kind", "index"):
        queue = queue_name(host, device.key)
        if device.key in leased or queue in promised or queue not in queues:
            continue
        for run in fitting_runs(device, store=store)[:3]:
            # Another host may have been faster; then the next one is tried.
            if assign_run(run_id=run.pk, attempt=run.attempt, queue=queue):
                handed.append(run)
                break
    return handed


def set_priority(run: Run, priority: int, *, actor: Actor = None) -> Run:
    """Let a run go before those of lower priority, or after those of higher.

    Raises:
        ConflictError: when it does not wait (any more).
        InvalidInputError: for a priority out of bounds.
    """
    least, most = PRIORITIES
    if not least <= priority <= most:
        raise InvalidInputError(f"priority: {priority} is not from {least} to {most}.")
    with transaction.atomic():
        changed = Run.objects.filter(pk=run.pk, status__in=[Status.DRAFT, Status.QUEUED]).update(
            priority=priority
        )
        run.refresh_from_db()
        if not changed:
            raise ConflictError(f"Run {run.pk} is {run.status}; only what waits has a place in the queue.")
        audit(run, "priority", actor, priority=priority)
    return run


def move(run: Run, where: Where, *, actor: Actor = None) -> Run:
    """Move a waiting run within the queue: to the front or the end, or past one neighbour.

    To go past a neighbour of another priority it takes on that one's.

    Raises:
        ConflictError: when it does not wait (any more).
    """
    with transaction.atomic():
        # All of them in one order, so that two who move at once wait for each other (on PostgreSQL).
        list(Run.objects.select_for_update().filter(status=Status.QUEUED).order_by("pk").values_list("pk"))
        queue = [(row.pk, row.priority) for row in waiting_runs().filter(assigned_to="")]
        numbers = [pk for pk, _ in queue]
        if run.pk not in numbers:
            run.refresh_from_db()
            raise ConflictError(f"Run {run.pk} is {run.status} and no longer waits for its turn.")
        here = numbers.index(run.pk)
        end = len(queue) - 1
        there = {"first": 0, "up": max(0, here - 1), "down": min(end, here + 1), "last": end}[where]
        queue.pop(here)
        if there != here:
            run.priority = queue[there if there < here else there - 1][1]
            Run.objects.filter(pk=run.pk, status=Status.QUEUED).update(priority=run.priority)
        queue.insert(there, (run.pk, run.priority))
        # Everything is numbered anew: a queue is short, and gaps would run out.
        for position, (pk, _) in enumerate(queue, 1):
            Run.objects.filter(pk=pk, status=Status.QUEUED).update(queue_position=position)
        audit(run, "moved", actor, where=where)
    run.refresh_from_db()
    return run
