"""What happened to a run, and who did it: the audit lines about it."""

from django.db.models import QuerySet

from runs.models import Run
from tunix_site.models import AuditEvent


def run_events(run: Run) -> QuerySet[AuditEvent]:
    """List what happened to a run, the newest first."""
    rows = AuditEvent.objects.filter(target_type="run", target_id=str(run.pk))
    return rows.order_by("-at", "-pk")


def newest_events(run: Run, *, most: int) -> list[AuditEvent]:
    """Give the newest few of `run_events`."""
    return list(run_events(run)[:most])
