"""What happens to an attempt: handed out, claimed, kept alive, revived, finished.

Whoever writes for an attempt names it, and is turned away once another one has taken over.
"""

import datetime as dt
import logging
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from django_q.tasks import async_task

from runs.devices import Device
from runs.models import Attempt, DeviceLease, Run
from runs.processes import boot_id, is_alive
from runs.services.changes import audit, change
from runs.states import ENDED, SUPERVISED, Cause, Status
from runs.store import store_id
from runs.verdicts import settle

log = logging.getLogger(__name__)

SUPERVISE = "runs.tasks.supervise"
TROUBLE_PAUSE = dt.timedelta(seconds=15)


class DeviceBusyError(Exception):
    """The run's device is held by another run; the text says which."""


def assign_run(*, run_id: int, attempt: int, queue: str) -> bool:
    """Hand a waiting run to the queue of one device: the row and the queue's task, or neither."""
    with transaction.atomic():
        waiting = Run.objects.filter(pk=run_id, attempt=attempt, status=Status.QUEUED, assigned_to="")
        if not waiting.update(assigned_to=queue, assigned_at=timezone.now()):
            return False
        async_task(SUPERVISE, run_id, attempt, cluster=queue, task_name=f"run-{run_id}-{attempt}")
    return True


def take_back(*, run_id: int, attempt: int, queue: str, why: str = "") -> bool:
    """Let a run wait again that was handed to a device's queue and not begun there.

    ``why`` names a trouble that would come again at once: it then waits a little.
    """
    handed_out = Run.objects.filter(pk=run_id, attempt=attempt, status=Status.QUEUED, assigned_to=queue)
    pause = {"not_before": timezone.now() + TROUBLE_PAUSE, "reason": why} if why else {}
    return bool(handed_out.update(assigned_to="", assigned_at=None, **pause))


def claim_run(
    *,
    run_id: int,
    attempt: int,
    host: str,
    pid: int,
    pid_started: float | None,
    device: Device | None = None,
    queue: str = "",
    outlives_supervisor: bool = False,
) -> Attempt | None:
    """Take a queued run with its device, for exactly one supervisor.

    ``device`` is the one to run on (default: the one that the run names), ``queue`` the device's
    queue that delivered it: a run that was meanwhile handed to another one is not taken.

    Returns:
        The attempt's row, or None when the run is not queued as this attempt (any more): it
        was claimed, cancelled or started again, and the caller must leave it alone.

    Raises:
        DeviceBusyError: when another run holds the device; the run stays queued.
    """
    run = Run.objects.filter(pk=run_id).first()
    if run is None:
        return None
    chosen = device or Device.of_run(run)
    now = timezone.now()
    try:
        with transaction.atomic():
            queued = Run.objects.filter(pk=run_id, attempt=attempt)
            if queue:
                queued = queued.filter(assigned_to__in=["", queue])
            if not change(
                queued,
                Status.STARTING,
                phase="starting",
                reason="",
                started_at=now,
                heartbeat_at=now,
                assigned_to="",
                assigned_at=None,
                device_index=chosen.index,
                device_uuid=chosen.uuid,
                device_name=chosen.name,
                store=run.store or store_id(),
            ):
                return None
            run.refresh_from_db()
            DeviceLease.objects.create(host=host, device=chosen.key, run=run, attempt=attempt)
            audit(run, "starting", attempt=attempt, host=host, reason=f"claimed for {chosen.key}")
            return Attempt.objects.create(
                run=run,
                number=attempt,
                host=host,
                boot_id=boot_id(),
                supervisor_pid=pid,
                supervisor_started=pid_started,
                outlives_supervisor=outlives_supervisor,
                device=chosen.key,
            )
    except IntegrityError as error:
        lease = DeviceLease.objects.filter(host=host, device=chosen.key).first()
        held = f" with run {lease.run_id}" if lease else ""
        raise DeviceBusyError(f"{chosen.key} is busy{held}") from error


def heartbeat(*, run_id: int, attempt: int, **progress: Any) -> Status | None:
    """Say that the attempt is alive; turn starting into running once its child has begun to work.

    ``progress`` may set ``phase`` and ``step``.

    Returns:
        The run's status, or None when the attempt no longer holds the run.
    """
    mine = Run.objects.filter(pk=run_id, attempt=attempt, status__in=SUPERVISED)
    if not mine.update(heartbeat_at=timezone.now(), **progress):
        return None
    row = mine.values("status", "phase").first()
    if row and row["status"] == Status.STARTING and row["phase"] not in {"", "starting"}:
        with transaction.atomic():
            if change(mine.filter(status=Status.STARTING), Status.RUNNING):
                audit(run_id, "running", attempt=attempt, reason=f"its process is {row['phase']}")
    status = mine.values_list("status", flat=True).first()
    return Status(status) if status else None


def adopt_attempt(*, attempt_id: int, host: str, pid: int, pid_started: float | None) -> Attempt | None:
    """Become the supervisor of an attempt of this host whose own one is dead; None where there is none."""
    attempt = Attempt.objects.select_related("run").filter(pk=attempt_id, host=host, finished_at=None).first()
    if attempt is None or is_alive(attempt.supervisor_pid, attempt.supervisor_started, attempt.boot_id):
        return None
    orphan = Attempt.objects.filter(
        pk=attempt_id,
        finished_at=None,
        adoptions=attempt.adoptions,
        run__attempt=attempt.number,
        run__status__in=SUPERVISED,
    )
    if not orphan.update(supervisor_pid=pid, supervisor_started=pid_started, adoptions=attempt.adoptions + 1):
        return None
    audit(attempt.run_id, "adopted", attempt=attempt.number, reason="its supervisor had died")
    attempt.refresh_from_db()
    return attempt


def revive(attempt: Attempt) -> Status | None:
    """Take a run that was called lost back for the attempt that still works on it, with its lease.

    Returns:
        The status it then has; None when another attempt or run has taken over, so that the
        attempt's process must end itself.
    """
    try:
        with transaction.atomic():
            lost = Run.objects.filter(pk=attempt.run_id, attempt=attempt.number, status=Status.LOST)
            stopping = lost.filter(stop_requested_at__isnull=False).exists()
            status = Status.STOPPING if stopping else Status.RUNNING
            if not change(lost, status, reason="", finished_at=None, heartbeat_at=timezone.now()):
                return None
            DeviceLease.objects.create(
                host=attempt.host, device=attempt.device, run_id=attempt.run_id, attempt=attempt.number
            )
            Attempt.objects.filter(pk=attempt.pk).update(
                status=Status.STARTING, finished_at=None, reason="", cause=""
            )
            audit(attempt.run_id, "revived", attempt=attempt.number, reason="its process answers again")
    except IntegrityError:
        return None
    return status


def finish_attempt(
    *,
    attempt: Attempt,
    status: Status,
    reason: str = "",
    error: str = "",
    cause: str = "",
    failure: str = "",
    exit_code: int | None = None,
    late: bool = False,
) -> bool:
    """End an attempt, its run and its lease together.

    ``late``: also where the run was called lost meanwhile.

    Returns:
        False when the attempt no longer holds the run; its own row is ended all the same.
    """
    if status not in ENDED:
        raise ValueError(f"{status} is not an end")
    now = timezone.now()
    sources = SUPERVISED | {Status.LOST} if late else SUPERVISED
    with transaction.atomic():
        holding = Run.objects.filter(pk=attempt.run_id, attempt=attempt.number, status__in=sources)
        held = change(
            holding, status, phase="finished", reason=reason, error=error, finished_at=now, stop_now=False
        )
        DeviceLease.objects.filter(run_id=attempt.run_id, attempt=attempt.number).delete()
        # Another one that ended it meanwhile has said how; only who holds the run may correct that.
        if held or Attempt.objects.filter(pk=attempt.pk, finished_at=None).exists():
            attempt.status = status if held else Status.LOST
            # What the feeder noted of a damaged journal stays.
            attempt.reason = "; ".join(filter(None, [reason, attempt.reason]))
            attempt.cause = cause if held else Cause.FENCED
            attempt.failure, attempt.exit_code, attempt.finished_at = failure[:200], exit_code, now
            names = ["status", "reason", "cause", "failure", "exit_code", "finished_at"]
            attempt.save(update_fields=names)
        if held and cause == Cause.NO_START and attempt.number == 1:
            # It left no file that would bind it to this host's folder.
            Run.objects.filter(pk=attempt.run_id).update(store="")
        if held:
            audit(attempt.run_id, status, attempt=attempt.number, reason=reason, cause=cause)
    if held and "reproduces" in attempt.run.params:
        _settle(attempt.run)
    return held


def _settle(run: Run) -> None:
    """Decide a reproduction; a mistake there must not undo the end of its run, and can be made up for."""
    try:
        with transaction.atomic():
            settle(run)
    except Exception:
        log.exception("%s: its verdict could not be computed; `reproduce %s` tries again", run, run.pk)
