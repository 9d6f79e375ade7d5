"""Quality reports of datasets, and the work in the queue that makes them."""

from datetime import timedelta
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone

from datasets_app.models.content import Dataset


class QualityReport(models.Model):
    """What was found about one dataset with one sequence length, and against one other dataset."""

    class Status(models.TextChoices):
        """Where the work stands."""

        QUEUED = "queued", "queued"
        RUNNING = "running", "running"
        COMPLETED = "completed", "completed"
        CANCELLED = "cancelled", "cancelled"
        FAILED = "failed", "failed"

    SILENT_AFTER: ClassVar = timedelta(minutes=10)

    dataset = models.ForeignKey(
        Dataset, on_delete=models.CASCADE, related_name="quality_reports", db_index=False
    )
    other = models.ForeignKey(Dataset, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    sequence_length = models.PositiveIntegerField(default=512)
    report_version = models.PositiveSmallIntegerField(help_text="version of the shape of the content")
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.QUEUED)
    cancel_requested = models.BooleanField(default=False)
    done = models.PositiveIntegerField(default=0, help_text="traces read")
    total = models.PositiveIntegerField(default=0, help_text="traces to read")
    content = models.JSONField(default=dict, blank=True)
    error = models.TextField(blank=True)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    heartbeat_at = models.DateTimeField(null=True, blank=True, editable=False)
    finished_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering: ClassVar = ["-pk"]
        indexes: ClassVar = [models.Index(fields=["dataset", "-id"], name="reports_of_dataset")]

    def __str__(self) -> str:
        return f"quality report {self.pk} ({self.status})"

    @property
    def is_alive(self) -> bool:
        """Whether it will still change by itself."""
        return self.status in (self.Status.QUEUED, self.Status.RUNNING)

    @property
    def is_silent(self) -> bool:
        """Whether running work has shown no sign of life for too long."""
        return self.status == self.Status.RUNNING and (
            self.heartbeat_at is None or self.heartbeat_at < timezone.now() - self.SILENT_AFTER
        )

    @property
    def shown_status(self) -> str:
        """The status as people see it; lost where running work is silent."""
        return "lost" if self.is_silent else str(self.status)
