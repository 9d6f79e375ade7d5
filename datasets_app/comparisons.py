"""Comparing two datasets for a request: at once where they are small, else in the queue."""

import logging
from typing import Any

from django.db import transaction
from django.utils import timezone
from django_q.tasks import async_task

from datasets_app.comparison import compare
from datasets_app.models import Dataset, StoredComparison

logger = logging.getLogger(__name__)

LARGEST_AT_ONCE = 20_000
CLUSTER = "housekeeping"
RUN_COMPARISON = "datasets_app.tasks.run_comparison"
BROKEN = "Something went wrong; the worker's log has the details. It can be tried again in ten minutes."
Status = StoredComparison.Status


def is_large(*, a: Dataset, b: Dataset) -> bool:
    """Tell whether a comparison is too long for a web request (more than 20,000 traces in all)."""
    return a.trace_count + b.trace_count > LARGEST_AT_ONCE


def comparison_of(*, a: Dataset, b: Dataset) -> StoredComparison:
    """Give a comparison: complete where it is small or was made before, else in the queue."""
    if not is_large(a=a, b=b):
        return StoredComparison(a=a, b=b, status=Status.COMPLETED, content=compare(a=a, b=b).as_json())
    with transaction.atomic():
        row, created = StoredComparison.objects.get_or_create(a=a, b=b)
        if created or _take_up_again(row):
            async_task(RUN_COMPARISON, row.pk, cluster=CLUSTER, task_name=f"compare-{row.pk}")
    row.refresh_from_db()
    return row


def _take_up_again(row: StoredComparison) -> bool:
    # What waits for that long may have lost its task; where it has not, the second delivery does nothing.
    now = timezone.now()
    undone = StoredComparison.objects.filter(pk=row.pk).exclude(status=Status.COMPLETED)
    lost = undone.filter(updated_at__lt=now - StoredComparison.SILENT_AFTER)
    return bool(lost.update(status=Status.QUEUED, error="", updated_at=now))


def run_comparison(*, comparison_id: int) -> None:
    """Carry out a comparison. A second delivery of one that is done or alive changes nothing."""
    rows = StoredComparison.objects.filter(pk=comparison_id)
    if not rows.filter(status=Status.QUEUED).update(status=Status.RUNNING, updated_at=timezone.now()):
        logger.info("Comparison %s is not waiting; left as it is.", comparison_id)
        return
    row = rows.select_related("a", "b").get()
    news: dict[str, Any] = {"status": Status.FAILED, "error": BROKEN}
    try:
        news = {"status": Status.COMPLETED, "content": compare(a=row.a, b=row.b).as_json()}
    finally:
        rows.filter(status=Status.RUNNING).update(updated_at=timezone.now(), **news)
