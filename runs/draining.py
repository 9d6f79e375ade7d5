"""Ask a worker to leave: it takes no further run, and stops those that it has with checkpoints."""

from django.db import transaction
from django.utils import timezone

from runs.models import Worker
from runs.selectors import live_workers
from runs.services import Actor
from tunix_site.errors import ConflictError
from tunix_site.services import record_audit


def request_drain(worker: Worker, actor: Actor = None) -> Worker:
    """Ask a worker to drain; it sees the request with its next heartbeat.

    Raises:
        ConflictError: when it is silent, so that nobody would hear, or was asked before.
    """
    with transaction.atomic():
        asked = live_workers().filter(pk=worker.pk, drain_requested_at=None)
        if not asked.update(drain_requested_at=timezone.now()):
            if not live_workers().filter(pk=worker.pk).exists():
                raise ConflictError(
                    f"{str(worker).capitalize()} is silent and would not hear it.",
                    hint="Look at its process on its host.",
                )
            raise ConflictError(f"{str(worker).capitalize()} is being drained already.")
        record_audit(
            actor=actor,
            action="worker.drain",
            target_type="worker",
            target_id=worker.pk,
            detail={"host": worker.host, "pid": worker.pid},
        )
    worker.refresh_from_db()
    return worker
