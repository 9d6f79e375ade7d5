"""Base models that were imported, and imports that wait or run in the queue."""

import re
from datetime import timedelta
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils import timezone

from training import bases


class BaseModel(models.Model):
    """A model that trainings start from; its files lie in ``artifacts/models/<content_hash>/``.

    A name means the content that was imported last; `reference` means one content for good.
    """

    name = models.CharField(max_length=80, db_index=True)
    source = models.CharField(max_length=300, help_text="a folder's name, or a repository of the hub")
    revision = models.CharField(max_length=100, blank=True, help_text="the commit there")
    family = models.CharField(max_length=40)
    parameters = models.PositiveBigIntegerField()
    dtype = models.CharField(max_length=8, help_text="of most stored numbers")
    licence = models.CharField(max_length=100, blank=True)
    licence_text = models.TextField(blank=True)
    files = models.JSONField(help_text="size in bytes and SHA-256 of each")
    content_hash = models.CharField(max_length=64, unique=True)
    tokenizer_hash = models.CharField(max_length=64, blank=True, help_text="of tokenizer.json")
    chat_template_hash = models.CharField(max_length=64, blank=True, help_text="of the template's text")
    size_bytes = models.PositiveBigIntegerField()
    imported_at = models.DateTimeField()
    imported_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        ordering: ClassVar = ["-imported_at", "-id"]

    def __str__(self) -> str:
        return self.reference

    def get_absolute_url(self) -> str:
        """Give the address of its page."""
        return reverse("models:detail", args=[self.reference])

    @property
    def reference(self) -> str:
        """The text by which a recipe names it."""
        return bases.reference(self.name, self.content_hash)

    @property
    def is_here(self) -> bool:
        """Whether its folder lies on this machine."""
        return (bases.root() / self.content_hash / bases.RECORD_NAME).is_file()


class ModelImport(models.Model):
    """An import from the hub in the queue: what was asked for, how far it is, what came of it."""

    class Status(models.TextChoices):
        """Where the import stands."""

        QUEUED = "queued", "queued"
        RUNNING = "running", "running"
        COMPLETED = "completed", "completed"
        FAILED = "failed", "failed"

    LIVE: ClassVar = (Status.QUEUED, Status.RUNNING)
    # A running import says that it lives every few seconds.
    SILENT_AFTER: ClassVar = timedelta(minutes=10)

    repository = models.CharField(max_length=200)
    revision = models.CharField(max_length=100, blank=True)
    name = models.CharField(max_length=80, blank=True, help_text="empty: the repository's")
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.QUEUED)
    bytes_done = models.PositiveBigIntegerField(default=0)
    bytes_total = models.PositiveBigIntegerField(default=0)
    doing = models.CharField(max_length=200, blank=True)
    error = models.TextField(blank=True)
    notes = models.JSONField(default=list, blank=True)
    base = models.ForeignKey(BaseModel, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    heartbeat_at = models.DateTimeField(null=True, blank=True, editable=False)
    finished_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return f"import {self.pk} of {self.repository} ({self.status})"

    @property
    def is_silent(self) -> bool:
        """Whether a running import has shown no sign of life for too long."""
        last: Any = self.heartbeat_at
        return self.status == self.Status.RUNNING and (
            last is None or last < timezone.now() - self.SILENT_AFTER
        )

    @property
    def state(self) -> str:
        """The status; lost where a running import shows no sign of life."""
        return "lost" if self.is_silent else self.status


def split_reference(text: str) -> tuple[str, str]:
    """Split ``NAME`` or ``NAME@HASH`` into both; the second is empty without @.

    Raises:
        ValueError: when it cannot name any base model.
    """
    name, at, prefix = text.partition("@")
    if not re.fullmatch(bases.NAME_PATTERN, name) or (at and not re.fullmatch(r"[0-9a-f]{4,64}", prefix)):
        raise ValueError(text)
    return name, prefix
