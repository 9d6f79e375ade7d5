"""Sessions: which process a prompt goes to, and how one comes to its end without losing a prompt."""

import contextlib

from django.db import transaction
from django.utils import timezone

from runs import services
from runs.creating import create_run
from runs.devices import Device
from runs.models import Checkpoint, Generation, PlaygroundSession, Run
from runs.models.playground import OPEN
from runs.services import Actor
from runs.states import Kind, Status
from training.config import TrainConfig
from tunix_site.errors import ConflictError

ORIGIN = "the playground"
TAKING = (Status.QUEUED, Status.STARTING, Status.RUNNING)


def session_for(checkpoint: Checkpoint, *, actor: Actor) -> PlaygroundSession:
    """Find the process that is to write, or queue a new one. Call it in the transaction that adds the prompt.

    The row of what it gives is held until then, so that its process cannot end in between.
    """
    run = checkpoint.run
    rows = PlaygroundSession.objects.filter(
        store=run.store, device_kind=run.device_kind, accepts=True, run__status__in=TAKING
    )
    for row in rows.order_by("run_id"):
        held = PlaygroundSession.objects.filter(pk=row.pk, accepts=True)
        if held.update(asked_at=timezone.now()) and Run.objects.filter(pk=row.pk, status__in=TAKING).exists():
            return row
    return _open(
        config=TrainConfig.model_validate(run.config),
        store=run.store,
        device=Device(kind=run.device_kind, name=run.device_name),
        actor=actor,
    )


def _open(*, config: TrainConfig, store: str, device: Device, actor: Actor) -> PlaygroundSession:
    made = create_run(
        kind=Kind.PLAYGROUND,
        config=config,
        device=device,
        dataset=None,
        total_steps=0,
        origin=ORIGIN,
        actor=actor,
    )
    Run.objects.filter(pk=made.pk).update(store=store)
    made.refresh_from_db()
    services.enqueue_run(made, actor=actor)
    return PlaygroundSession.objects.create(
        run=made, store=store, device_kind=device.kind, asked_at=timezone.now()
    )


def close(session: PlaygroundSession, *, hand_on: bool) -> bool:
    """Take no further prompts, so that the process may end; False where one came that it must still write.

    ``hand_on``: prompts that wait go to a new session, which queues behind what waits already. A session
    that ends in order leaves the list of runs: what it wrote stands with the runs whose models wrote it.
    """
    with transaction.atomic():
        if not PlaygroundSession.objects.filter(pk=session.pk, accepts=True).update(accepts=False):
            return True
        Run.objects.filter(pk=session.pk).update(archived_at=timezone.now())
        waiting = Generation.objects.filter(session=session, state=Generation.State.WAITING)
        if not waiting.exists():
            return True
        if not hand_on:
            transaction.set_rollback(True)
            return False
        run = session.run
        fresh = _open(
            config=TrainConfig.model_validate(run.config),
            store=session.store,
            device=Device(kind=run.device_kind, name=run.device_name),
            actor=run.owner,
        )
        waiting.update(session=fresh)
    return True


def withdraw(row: Generation, *, actor: Actor) -> Generation:
    """Stop a generation: one that waits is not begun, one that is being written ends where it is.

    Raises:
        ConflictError: when it has ended already.
    """
    with transaction.atomic():
        open_row = Generation.objects.filter(pk=row.pk, state__in=OPEN)
        changed = open_row.update(
            state=Generation.State.STOPPED, reason="stopped by a person", ended_at=timezone.now()
        )
        row.refresh_from_db()
        if not changed:
            raise ConflictError(f"Generation {row.pk} is {row.state}; there is nothing to stop.")
        services.audit(row.run_id, "playground_stopped", actor, generation=row.pk)
        if row.session is not None:
            _leave_the_queue(row.session, actor=actor)
    return row


def _leave_the_queue(session: PlaygroundSession, *, actor: Actor) -> None:
    """Take a session out of the queue for which nobody waits any more."""
    run = session.run
    if run.status != Status.QUEUED:
        return
    held = PlaygroundSession.objects.filter(pk=session.pk, accepts=True).update(accepts=False)
    if Generation.objects.filter(session=session, state__in=OPEN).exists():
        PlaygroundSession.objects.filter(pk=session.pk).update(accepts=bool(held))
        return
    # It may have started or ended meanwhile.
    with contextlib.suppress(ConflictError):
        services.request_stop(run, actor=actor, reason="its last question was withdrawn")
