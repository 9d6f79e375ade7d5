"""Traces, the immutable datasets made of them, and the builds that run in the queue."""

from datetime import timedelta
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from datasets_app.traces import Step

HASH_LENGTH = 64
SHORT_HASH = 12


class Split(models.TextChoices):
    """The side of a dataset that a trace is on."""

    TRAIN = "train", "train"
    TEST = "test", "test"


class Trace(models.Model):
    """A reasoning trace, stored once however many datasets hold it; never changed.

    Rows that only an unfinished build wrote are not yet visible: see `selectors.visible_traces`.
    """

    content_hash = models.CharField(max_length=HASH_LENGTH, unique=True)
    # Without an index: hashes come in no order, so one would cost an import as much as all else
    # that is written, and nothing looks a trace up by its prompt.
    prompt_hash = models.CharField(max_length=HASH_LENGTH, help_text="SHA-256 of the normalised prompt")
    prompt = models.TextField()
    steps = models.JSONField(default=list, help_text="list of {i, type, content}")
    final_answer = models.TextField()
    step_count = models.PositiveIntegerField()
    size_bytes = models.PositiveIntegerField(help_text="UTF-8 bytes of prompt, steps and answer")
    created_at = models.DateTimeField(default=timezone.now, db_index=True, editable=False)

    class Meta:
        ordering: ClassVar = ["pk"]

    def __str__(self) -> str:
        return f"{self.content_hash[:SHORT_HASH]} {self.prompt[:60]}"

    @property
    def step_records(self) -> tuple[Step, ...]:
        """The steps as plain data."""
        return tuple(Step(i=step["i"], type=step["type"], content=step["content"]) for step in self.steps)


class Provenance(models.Model):
    """Where a trace came from. It belongs to the place where the trace is used, not to the trace."""

    family = models.CharField(max_length=64, blank=True, help_text="generator family; empty: none")
    source = models.CharField(max_length=200, blank=True)
    licence = models.CharField(max_length=100, blank=True)
    meta = models.JSONField(default=dict, blank=True)

    class Meta:
        abstract = True


class TraceSource(Provenance):
    """A trace that was handed in by itself, with where it came from. One row a trace and source."""

    trace = models.ForeignKey(Trace, on_delete=models.PROTECT, related_name="sources", db_index=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["trace", "source"], name="one_source_row_a_trace"),
        ]
        indexes: ClassVar = [models.Index(fields=["source", "trace"], name="source_traces")]

    def __str__(self) -> str:
        return f"{self.trace_id} from {self.source or 'an unnamed source'}"


class Dataset(models.Model):
    """An ordered, immutable list of traces with splits: one content of a key.

    Several contents may share a key. ``KEY`` addresses the one published last, ``KEY@HASHPREFIX``
    any of them. A dataset in the state *building* is visible to nobody.
    """

    class Status(models.TextChoices):
        """Whether the content is complete."""

        BUILDING = "building", "building"
        PUBLISHED = "published", "published"

    key = models.CharField(max_length=100)
    content_hash = models.CharField(max_length=HASH_LENGTH, blank=True, help_text="empty while building")
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.BUILDING)
    parent = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="children",
        help_text="the content that this key addressed before",
    )
    description = models.CharField(max_length=500, blank=True)
    source = models.CharField(max_length=200, blank=True)
    licence = models.CharField(max_length=100, blank=True)
    generator = models.CharField(max_length=100, blank=True, help_text="empty: not generated")
    recipe = models.JSONField(default=dict, help_text="everything that decides the content")
    trace_count = models.PositiveIntegerField(default=0)
    train_count = models.PositiveIntegerField(default=0)
    test_count = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    touched_at = models.DateTimeField(
        default=timezone.now, editable=False, help_text="last sign of life of the build"
    )
    published_at = models.DateTimeField(null=True, blank=True, editable=False)
    frozen_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="since when it may not be deleted"
    )

    class Meta:
        ordering: ClassVar = ["key", "-published_at", "-pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["key", "content_hash"],
                condition=Q(status="published"),
                name="one_published_dataset_a_content",
            ),
            models.CheckConstraint(
                condition=Q(status="building")
                | (~Q(content_hash="") & Q(published_at__isnull=False) & Q(trace_count__gte=1)),
                name="published_dataset_is_complete",
            ),
            models.CheckConstraint(
                condition=Q(trace_count=F("train_count") + F("test_count")),
                name="every_trace_is_in_a_split",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["key", "status", "-published_at"], name="newest_of_key"),
            models.Index(fields=["status", "-published_at"], name="newest_datasets"),
        ]

    def __str__(self) -> str:
        return self.address if self.content_hash else f"{self.key} (building)"

    @property
    def address(self) -> str:
        """The address that always means this content: ``KEY@HASHPREFIX``."""
        return f"{self.key}@{self.content_hash[:SHORT_HASH]}"

    @property
    def generator_version(self) -> int | None:
        """The version of the generator that made it, None where none did."""
        version = self.recipe.get("generator_version")
        return version if isinstance(version, int) else None


class DatasetTrace(Provenance):
    """The membership of a trace in a dataset."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="members", db_index=False)
    position = models.PositiveIntegerField(help_text="counts from 0")
    trace = models.ForeignKey(Trace, on_delete=models.PROTECT, related_name="memberships")
    split = models.CharField(max_length=8, choices=Split.choices)

    class Meta:
        ordering: ClassVar = ["dataset", "position"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["dataset", "position"], name="one_trace_a_position"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["dataset", "split", "position"], name="members_of_split"),
            models.Index(fields=["dataset", "family", "position"], name="members_of_family"),
        ]

    def __str__(self) -> str:
        return f"{self.dataset_id}[{self.position}]"


class BuildTask(models.Model):
    """A build too large for a web request: it runs on the cluster *housekeeping*."""

    class Status(models.TextChoices):
        """Where the build stands."""

        QUEUED = "queued", "queued"
        RUNNING = "running", "running"
        COMPLETED = "completed", "completed"
        FAILED = "failed", "failed"
        CANCELLED = "cancelled", "cancelled"

    LIVE: ClassVar = (Status.QUEUED, Status.RUNNING)
    # A build says that it lives at every batch; one that has been silent for longer is lost.
    SILENT_AFTER: ClassVar = timedelta(minutes=10)

    request = models.JSONField(help_text="what was asked for")
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.QUEUED)
    done = models.PositiveIntegerField(default=0, help_text="traces written")
    total = models.PositiveIntegerField(default=0, help_text="traces asked for; 0: not known yet")
    dataset = models.ForeignKey(Dataset, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    created = models.BooleanField(null=True, help_text="False: this content was there already")
    cancel_asked = models.BooleanField(default=False)
    error = models.TextField(blank=True)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    heartbeat_at = models.DateTimeField(null=True, blank=True, editable=False)
    finished_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering: ClassVar = ["-pk"]

    def __str__(self) -> str:
        return f"build {self.pk} ({self.status})"

    @property
    def is_live(self) -> bool:
        """Whether it waits or runs."""
        return self.status in self.LIVE

    @property
    def is_silent(self) -> bool:
        """Whether a running build has shown no sign of life for too long."""
        last: Any = self.heartbeat_at
        return self.status == self.Status.RUNNING and (
            last is None or last < timezone.now() - self.SILENT_AFTER
        )
