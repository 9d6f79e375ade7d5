"""Comparisons of large datasets: made once in the queue and kept, for neither side ever changes."""

from datetime import timedelta
from typing import ClassVar

from django.db import models
from django.utils import timezone

from datasets_app.models.content import Dataset


class StoredComparison(models.Model):
    """What came of comparing two datasets, or how far that is."""

    class Status(models.TextChoices):
        """Where the work stands."""

        QUEUED = "queued", "queued"
        RUNNING = "running", "running"
        COMPLETED = "completed", "completed"
        FAILED = "failed", "failed"

    # Work that has not ended by then is lost; what failed may be tried again then.
    SILENT_AFTER: ClassVar = timedelta(minutes=10)

    a = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="+", db_index=False)
    b = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="+")
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.QUEUED)
    content = models.JSONField(default=dict, blank=True)
    error = models.TextField(blank=True)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering: ClassVar = ["pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["a", "b"], name="one_comparison_a_pair"),
        ]

    def __str__(self) -> str:
        return f"{self.a_id} with {self.b_id} ({self.status})"

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will come of it by itself."""
        return self.status in (self.Status.COMPLETED, self.Status.FAILED)
