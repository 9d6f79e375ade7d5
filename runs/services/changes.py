"""The one way in which a run changes its state: a guarded UPDATE, and a line that says why."""

from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import QuerySet

from runs.models import Run
from runs.states import Status, sources_of
from tunix_site.services import record_audit

Actor = AbstractBaseUser | AnonymousUser | None
# Who supervises a queued run that no device's queue is to have.
FOREGROUND = "foreground"


def change(rows: Run | QuerySet[Run], to: Status, **fields: Any) -> bool:
    """Move one run to a state, if it is in one from which that is allowed; tell whether it did."""
    found = Run.objects.filter(pk=rows.pk) if isinstance(rows, Run) else rows
    return bool(found.filter(status__in=sources_of(to)).update(status=to, **fields))


def audit(run: Run | int, what: str, actor: Actor = None, **detail: Any) -> None:
    """Write down what happened to a run, and why."""
    number = run if isinstance(run, int) else run.pk
    record_audit(actor=actor, action=f"run.{what}", target_type="run", target_id=number, detail=detail)
