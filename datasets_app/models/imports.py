"""Imports of files: what was asked for, how far it is, what came of it."""

from datetime import timedelta
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone

from datasets_app.models.content import Dataset


class Import(models.Model):
    """One import of one file, from the command line, the admin or the API.

    Its number names the folder ``artifacts/imports/<id>/`` with the refused lines and, until it
    has ended, the uploaded file.
    """

    class Status(models.TextChoices):
        """Where the import stands."""

        PREVIEWED = "previewed", "waiting for a yes"
        QUEUED = "queued", "queued"
        RUNNING = "running", "running"
        COMPLETED = "completed", "completed"
        FAILED = "failed", "failed"
        CANCELLED = "cancelled", "cancelled"

    LIVE: ClassVar = (Status.QUEUED, Status.RUNNING)
    # An import says that it lives at every batch; one that has been silent for longer is lost.
    SILENT_AFTER: ClassVar = timedelta(minutes=10)

    key = models.CharField(max_length=100, help_text="the dataset that it goes into")
    request = models.JSONField(default=dict, help_text="format, split, mapping and the like, as asked for")
    file_name = models.CharField(max_length=255)
    file_bytes = models.PositiveBigIntegerField(default=0)
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.QUEUED)
    format = models.CharField(max_length=40, blank=True, help_text="the format it was read as")
    bytes_done = models.PositiveBigIntegerField(default=0)
    imported = models.PositiveIntegerField(default=0, help_text="traces that are new to the dataset")
    existing = models.PositiveIntegerField(default=0, help_text="traces that the dataset held already")
    refused = models.PositiveIntegerField(default=0, help_text="lines that could not be taken")
    cancel_asked = models.BooleanField(default=False)
    error = models.TextField(blank=True)
    notes = models.JSONField(default=list, blank=True)
    preview = models.JSONField(default=dict, blank=True, help_text="what it would do, where one looked first")
    dataset = models.ForeignKey(Dataset, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    unpublished = models.ForeignKey(
        Dataset,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        help_text="the content while it is written, unseen",
    )
    host = models.CharField(max_length=100, blank=True, help_text="machine and process that carry it out")
    process = models.PositiveIntegerField(null=True, blank=True)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    heartbeat_at = models.DateTimeField(null=True, blank=True, editable=False)
    finished_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering: ClassVar = ["-pk"]

    def __str__(self) -> str:
        return f"import {self.pk} of {self.file_name} ({self.status})"

    @property
    def is_live(self) -> bool:
        """Whether it waits or runs."""
        return self.status in self.LIVE

    @property
    def is_silent(self) -> bool:
        """Whether a running import has shown no sign of life for too long."""
        last: Any = self.heartbeat_at
        return self.status == self.Status.RUNNING and (
            last is None or last < timezone.now() - self.SILENT_AFTER
        )
