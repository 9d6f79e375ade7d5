"""What people ask of a run: start, stop, resume, requeue, give up."""

from typing import Any

from django.db import transaction
from django.db.models import F, Max
from django.utils import timezone

from runs.models import Attempt, DeviceLease, Run
from runs.services.changes import FOREGROUND, Actor, audit, change
from runs.states import INTERRUPTED, RESUMABLE, SUPERVISED, Cause, Status
from tunix_site.errors import ConflictError


def enqueue_run(
    run: Run, *, actor: Actor = None, deliver: bool = True, reason: str = "", **fields: Any
) -> Run:
    """Put a draft or interrupted run at the end of the queue, as its next attempt.

    ``deliver=False`` keeps it from the workers: the caller supervises the run itself. ``fields``
    are set together with the change.

    Raises:
        ConflictError: when the run is in no state that may be queued.
    """
    now = timezone.now()
    with transaction.atomic():
        last = Run.objects.filter(status=Status.QUEUED).aggregate(last=Max("queue_position"))["last"] or 0
        changed = change(
            run,
            Status.QUEUED,
            **{
                "attempt": F("attempt") + 1,
                "queued_at": now,
                "queue_position": last + 1,
                "assigned_to": "" if deliver else FOREGROUND,
                "assigned_at": None if deliver else now,
                "not_before": None,
                "restarts": 0,
                "finished_at": None,
                # What is at work is seen.
                "archived_at": None,
                "stop_requested_at": None,
                "stop_now": False,
                "phase": "",
                "reason": reason,
                "error": "",
                **fields,
            },
        )
        run.refresh_from_db()
        if not changed:
            raise ConflictError(f"Run {run.pk} is {run.status} and cannot be started.")
        audit(run, "queued", actor, attempt=run.attempt, reason=reason or "asked for")
    return run


def start_draft(run: Run, *, actor: Actor = None) -> Run:
    """Put a draft into the queue.

    Raises:
        ConflictError: when the run is no draft (an interrupted one is resumed instead).
    """
    if run.status != Status.DRAFT:
        raise ConflictError(f"Run {run.pk} is {run.status}; only a draft can be started.")
    return enqueue_run(run, actor=actor)


def resume_run(
    run: Run,
    *,
    actor: Actor = None,
    deliver: bool = True,
    resume_path: str = "",
    allow_inexact: bool = False,
) -> Run:
    """Take an interrupted training up from its newest sound checkpoint, or ``resume_path``.

    An evaluation goes on after the texts that it has written. ``allow_inexact``: this one start may go on
    where that does not give the same bits.

    Raises:
        ConflictError: when the run is neither an interrupted training nor an interrupted evaluation.
    """
    if run.kind not in RESUMABLE or run.status not in INTERRUPTED:
        states = ", ".join(sorted(INTERRUPTED))
        raise ConflictError(
            f"Run {run.pk} ({run.get_kind_display()}) is {run.status}; "
            f"only a training or an evaluation that is {states} can be resumed."
        )
    with transaction.atomic():
        interrupted = Run.objects.filter(pk=run.pk, status__in=INTERRUPTED)
        if resume_path:
            interrupted.update(resume_path=resume_path, resume_attempt=F("attempt") + 1)
        if allow_inexact:
            interrupted.update(params={**run.params, "allow_inexact": run.attempt + 1})
        return enqueue_run(run, actor=actor, deliver=deliver)


def requeue_run(run: Run, *, actor: Actor = None) -> Run:
    """Put an interrupted run of any kind into the queue again; a queued one is handed out anew.

    A training goes on from its newest sound checkpoint, an evaluation after its texts, any other job begins
    again.

    Raises:
        ConflictError: when the run is neither interrupted nor queued.
    """
    if run.status == Status.QUEUED:
        with transaction.atomic():
            waiting = Run.objects.filter(pk=run.pk, status=Status.QUEUED, attempt=run.attempt)
            waiting = waiting.exclude(assigned_to=FOREGROUND)
            if not waiting.update(assigned_to="", assigned_at=None, not_before=None):
                raise ConflictError(f"Run {run.pk} is {run.status}, and its own command will start it.")
            audit(run, "requeued", actor, attempt=run.attempt)
        run.refresh_from_db()
        return run
    if run.status not in INTERRUPTED:
        raise ConflictError(f"Run {run.pk} is {run.status}; only an interrupted or queued one is requeued.")
    return enqueue_run(run, actor=actor, reason="")


def request_stop(run: Run, *, actor: Actor = None, reason: str = "stop requested", now: bool = False) -> Run:
    """Ask a run to stop: a queued one at once, a supervised one with a checkpoint.

    ``now``: without a checkpoint, by force; what came after the newest one is lost.

    Raises:
        ConflictError: when there is nothing to stop.
    """
    moment = timezone.now()
    asked: dict[str, Any] = {"stop_requested_at": moment, "stop_now": now}
    with transaction.atomic():
        rows = Run.objects.filter(pk=run.pk)
        at_work = rows.filter(status__in=[Status.STARTING, Status.RUNNING])
        changed = (
            change(
                rows.filter(status=Status.QUEUED),
                Status.STOPPED,
                reason=f"{reason} while queued",
                finished_at=moment,
                **asked,
            )
            or change(at_work, Status.STOPPING, reason=reason, **asked)
            or (now and rows.filter(status=Status.STOPPING, stop_now=False).update(stop_now=True))
        )
        run.refresh_from_db()
        if not changed and run.status != Status.STOPPING:
            raise ConflictError(f"Run {run.pk} is {run.status}; there is nothing to stop.")
        if changed:
            audit(run, "stop_now" if now else "stop", actor, attempt=run.attempt, reason=reason)
    return run


def mark_stopped(run: Run, *, actor: Actor = None, reason: str = "marked as stopped") -> Run:
    """Call a run stopped whose process cannot be reached, and free its device.

    A process of it that still works finds its attempt ended, and ends itself.

    Raises:
        ConflictError: when the run is not supposed to be at work, nor lost.
    """
    with transaction.atomic():
        rows = Run.objects.filter(pk=run.pk, attempt=run.attempt, status__in=SUPERVISED | {Status.LOST})
        changed = change(rows, Status.STOPPED, phase="finished", reason=reason, finished_at=timezone.now())
        run.refresh_from_db()
        if not changed:
            raise ConflictError(
                f"Run {run.pk} is {run.status}; only one at work or lost is marked as stopped."
            )
        DeviceLease.objects.filter(run=run).delete()
        Attempt.objects.filter(run=run, number=run.attempt).update(
            status=Status.STOPPED, cause=Cause.MARKED, reason=reason, finished_at=timezone.now()
        )
        audit(run, "marked_stopped", actor, attempt=run.attempt, reason=reason)
    return run


def fail_queued(*, run_id: int, attempt: int, reason: str, status: Status = Status.FAILED) -> bool:
    """End a queued run that can never start."""
    with transaction.atomic():
        queued = Run.objects.filter(pk=run_id, attempt=attempt, status=Status.QUEUED)
        changed = change(queued, status, reason=reason, finished_at=timezone.now())
        if changed:
            audit(run_id, status, attempt=attempt, reason=reason)
    return changed
