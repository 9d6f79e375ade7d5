"""The state machine of a run. Every change of status in the system is a function here.

A change is one UPDATE guarded by the expected states and, for the supervisor's side, by the
attempt; it either changes exactly one row or nothing happened.
"""

import logging
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone
from django_q.tasks import async_task

from datasets_app.models import Dataset
from runs.devices import Device
from runs.journal import storable
from runs.models import Attempt, DeviceLease, Run
from runs.states import ENDED, INTERRUPTED, SUPERVISED, Kind, Status, sources_of
from runs.verdicts import settle
from training.config import TrainConfig
from training.errors import ConfigError
from training.model_config import preset
from tunix_site.errors import ConflictError, InvalidInputError
from tunix_site.services import record_audit

log = logging.getLogger(__name__)

Actor = AbstractBaseUser | AnonymousUser | None
SUPERVISE = "runs.tasks.supervise"
MAX_NAME = 300


def create_run(
    *,
    kind: Kind,
    config: TrainConfig,
    device: Device,
    dataset: Dataset | None,
    total_steps: int,
    params: dict[str, Any] | None = None,
    name: str = "",
    parent: Run | None = None,
    parent_step: int | None = None,
    resume_path: str = "",
    checkpoint_root: Path | None = None,
    origin: str = "",
    actor: Actor = None,
) -> Run:
    """Write a draft run with its frozen recipe.

    ``checkpoint_root`` holds one folder a run; ``origin`` says how the run was asked for, a
    command line for example.

    Raises:
        InvalidInputError: for a model that there is no preset of, or a name that is too long.
    """
    try:
        preset(config.model)
    except ConfigError as error:
        raise InvalidInputError(str(error)) from error
    if len(name) > MAX_NAME:
        raise InvalidInputError(f"The name has {len(name)} characters; at most {MAX_NAME} are kept.")
    root = checkpoint_root or Path(settings.TUNIX_ARTIFACTS_DIR) / "checkpoints"
    with transaction.atomic():
        run = Run.objects.create(
            kind=kind,
            name=storable(name),
            owner=_user(actor),
            dataset=dataset,
            config=config.model_dump(mode="json"),
            params=params or {},
            parent=parent,
            parent_step=parent_step,
            device_kind=device.kind,
            device_index=device.index,
            device_uuid=device.uuid,
            device_name=device.name,
            total_steps=total_steps,
            resume_path=resume_path,
            origin=storable(origin),
        )
        run.checkpoint_dir = str(root.resolve() / str(run.pk))
        run.save(update_fields=["checkpoint_dir"])
        _audit(run, "created", actor)
    return run


def enqueue_run(run: Run, *, actor: Actor = None, deliver: bool = True) -> Run:
    """Put a draft or interrupted run into the queue as its next attempt.

    ``deliver=False`` leaves out the queue's task: the caller supervises the run itself.

    Raises:
        ConflictError: when the run is in no state that may be queued.
    """
    with transaction.atomic():
        changed = Run.objects.filter(pk=run.pk, status__in=sources_of(Status.QUEUED)).update(
            status=Status.QUEUED,
            attempt=F("attempt") + 1,
            queued_at=timezone.now(),
            finished_at=None,
            stop_requested_at=None,
            phase="",
            reason="",
            error="",
        )
        run.refresh_from_db()
        if not changed:
            raise ConflictError(f"Run {run.pk} is {run.status} and cannot be started.")
        _audit(run, "queued", actor, attempt=run.attempt)
        if deliver:
            # In the same transaction as the row: with the ORM broker both come to be, or neither.
            async_task(
                SUPERVISE, run.pk, run.attempt, cluster="runs", task_name=f"run-{run.pk}-{run.attempt}"
            )
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

    ``allow_inexact``: this one start may go on where that does not give the same bits.

    Raises:
        ConflictError: when the run is not an interrupted training.
    """
    if run.kind != Kind.TRAIN or run.status not in INTERRUPTED:
        states = ", ".join(sorted(INTERRUPTED))
        raise ConflictError(
            f"Run {run.pk} ({run.get_kind_display()}) is {run.status}; "
            f"only a training that is {states} can be resumed."
        )
    with transaction.atomic():
        interrupted = Run.objects.filter(pk=run.pk, status__in=INTERRUPTED)
        if resume_path:
            interrupted.update(resume_path=resume_path, resume_attempt=F("attempt") + 1)
        if allow_inexact:
            interrupted.update(params={**run.params, "allow_inexact": run.attempt + 1})
        return enqueue_run(run, actor=actor, deliver=deliver)


def claim_run(*, run_id: int, attempt: int, host: str, pid: int, pid_started: float | None) -> Attempt | None:
    """Take a queued run with its device, for exactly one supervisor.

    Returns:
        The attempt's row, or None when the run is not queued as this attempt (any more): it
        was claimed, cancelled or started again, and the caller must leave it alone.

    Raises:
        DeviceBusyError: when another run holds the device; the run stays queued.
    """
    try:
        with transaction.atomic():
            run = Run.objects.filter(pk=run_id).first()
            if run is None:
                return None
            now = timezone.now()
            changed = Run.objects.filter(pk=run_id, status=Status.QUEUED, attempt=attempt).update(
                status=Status.STARTING, phase="starting", reason="", started_at=now, heartbeat_at=now
            )
            if not changed:
                return None
            device = Device.of_run(run)
            DeviceLease.objects.create(host=host, device=device.key, run=run, attempt=attempt)
            _audit(run, "starting", attempt=attempt, host=host)
            return Attempt.objects.create(
                run=run,
                number=attempt,
                host=host,
                supervisor_pid=pid,
                supervisor_started=pid_started,
                device=device.key,
            )
    except IntegrityError as error:
        raise DeviceBusyError(_waiting_reason(run_id, host)) from error


class DeviceBusyError(Exception):
    """The run's device is held by another run; the text says which."""


def _waiting_reason(run_id: int, host: str) -> str:
    run = Run.objects.get(pk=run_id)
    key = Device.of_run(run).key
    lease = DeviceLease.objects.filter(host=host, device=key).first()
    return f"{key} is busy with run {lease.run_id}" if lease else f"{key} is busy"


def note_waiting(*, run_id: int, attempt: int, reason: str) -> bool:
    """Show why a queued run waits. False when the run is not queued as this attempt any more."""
    waiting = Run.objects.filter(pk=run_id, status=Status.QUEUED, attempt=attempt)
    return bool(waiting.update(reason=reason))


def heartbeat(*, run_id: int, attempt: int) -> Status | None:
    """Say that the attempt is alive; turn starting into running once its child has begun to work.

    Returns:
        The run's status, or None when the attempt no longer holds the run.
    """
    mine = Run.objects.filter(pk=run_id, attempt=attempt, status__in=SUPERVISED)
    if not mine.update(heartbeat_at=timezone.now()):
        return None
    mine.filter(status=Status.STARTING).exclude(phase__in=["", "starting"]).update(status=Status.RUNNING)
    status = mine.values_list("status", flat=True).first()
    return Status(status) if status else None


def request_stop(run: Run, *, actor: Actor = None, reason: str = "stop requested") -> Run:
    """Ask a run to stop: a queued one at once, a supervised one with a checkpoint.

    Raises:
        ConflictError: when there is nothing to stop.
    """
    now = timezone.now()
    with transaction.atomic():
        rows = Run.objects.filter(pk=run.pk)
        changed = rows.filter(status=Status.QUEUED).update(
            status=Status.STOPPED, reason=f"{reason} while queued", finished_at=now, stop_requested_at=now
        ) or rows.filter(status__in=[Status.STARTING, Status.RUNNING]).update(
            status=Status.STOPPING, reason=reason, stop_requested_at=now
        )
        run.refresh_from_db()
        if not changed and run.status != Status.STOPPING:
            raise ConflictError(f"Run {run.pk} is {run.status}; there is nothing to stop.")
        if changed:
            _audit(run, "stop", actor, reason=reason)
    return run


def finish_attempt(*, attempt: Attempt, status: Status, reason: str = "", error: str = "") -> bool:
    """End an attempt, its run and its lease together.

    Returns:
        False when the attempt no longer holds the run; its own row is ended all the same.
    """
    if status not in ENDED:
        raise ValueError(f"{status} is not an end")
    now = timezone.now()
    with transaction.atomic():
        held = bool(
            Run.objects.filter(
                pk=attempt.run_id, attempt=attempt.number, status__in=sources_of(status) & SUPERVISED
            ).update(status=status, phase="finished", reason=reason, error=error, finished_at=now)
        )
        DeviceLease.objects.filter(run_id=attempt.run_id, attempt=attempt.number).delete()
        attempt.status = status if held else Status.LOST
        attempt.reason = reason or attempt.reason
        attempt.finished_at = now
        attempt.save(update_fields=["status", "reason", "finished_at"])
        if held:
            _audit(attempt.run, status, attempt=attempt.number, reason=reason)
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


def fail_queued(*, run_id: int, attempt: int, reason: str) -> bool:
    """End a queued run that can never start."""
    with transaction.atomic():
        changed = Run.objects.filter(pk=run_id, attempt=attempt, status=Status.QUEUED).update(
            status=Status.FAILED, reason=reason, finished_at=timezone.now()
        )
        if changed:
            _audit(Run.objects.get(pk=run_id), "failed", attempt=attempt, reason=reason)
    return bool(changed)


def _audit(run: Run, what: str, actor: Actor = None, **detail: Any) -> None:
    record_audit(actor=actor, action=f"run.{what}", target_type="run", target_id=run.pk, detail=detail)


def _user(actor: Actor) -> Any:
    return actor if actor is not None and actor.is_authenticated else None
