"""A run and its attempts."""

import datetime as dt
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models
from django.urls import reverse
from django.utils import timezone

from datasets_app.models import Dataset
from runs.states import ALIVE, ENDED, INTERRUPTED, SUPERVISED, Cause, Kind, Status
from training.bases import PREFIX

if TYPE_CHECKING:
    from runs.models.results import Evaluation

LONGEST_SILENCE = dt.timedelta(seconds=60)


def named_base(config: Mapping[str, Any]) -> str:
    """Give what `Run.base_hash` is for a recipe; empty where it names no base model."""
    return str(config.get("model", "")).partition("@")[2][:PREFIX]


class Run(models.Model):
    """One job on one device: training, evaluation, generation or a benchmark.

    The row is the truth about the job. ``attempt`` counts its starts and is the fencing
    token: whoever writes for an older attempt is turned away.
    """

    uid = models.UUIDField(
        default=uuid.uuid4, unique=True, editable=False, help_text="the same in every database that knows it"
    )
    kind = models.CharField(max_length=16, choices=Kind.choices, default=Kind.TRAIN)
    name = models.CharField(max_length=300, blank=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="runs"
    )
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.DRAFT, db_index=True)
    phase = models.CharField(max_length=16, blank=True)
    attempt = models.PositiveIntegerField(default=0)
    reason = models.TextField(blank=True, help_text="why the run stands where it stands")
    error = models.TextField(blank=True, help_text="the last lines of a failed attempt's log")

    dataset = models.ForeignKey(Dataset, null=True, blank=True, on_delete=models.PROTECT, related_name="runs")
    config = models.JSONField(help_text="the frozen TrainConfig")
    params = models.JSONField(default=dict, blank=True, help_text="what this kind of run needs besides")
    parent = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="children"
    )
    parent_step = models.PositiveIntegerField(null=True, blank=True)

    device_kind = models.CharField(max_length=8, choices=[("cpu", "CPU"), ("gpu", "GPU")])
    device_index = models.PositiveSmallIntegerField(default=0)
    device_uuid = models.CharField(max_length=80, blank=True)
    device_name = models.CharField(max_length=200, blank=True)
    device_pinned = models.BooleanField(
        default=False, help_text="only this very device; otherwise any free one of its kind"
    )
    host = models.CharField(max_length=255, blank=True, help_text="the machine of a pinned device")
    store = models.CharField(
        max_length=32, blank=True, help_text="the artifacts folder that holds its files; empty: none yet"
    )

    priority = models.SmallIntegerField(default=0, help_text="higher goes first in the queue")
    queue_position = models.BigIntegerField(default=0, help_text="order among the same priority")
    assigned_to = models.CharField(
        max_length=100, blank=True, help_text="queue of the device that is to take it; empty: it waits"
    )
    assigned_at = models.DateTimeField(null=True, blank=True)
    not_before = models.DateTimeField(null=True, blank=True, help_text="not started before this moment")
    restarts = models.PositiveSmallIntegerField(
        default=0, help_text="restarts by itself since a person last started it"
    )

    checkpoint_dir = models.CharField(
        max_length=1000, blank=True, help_text="this run's own checkpoint folder"
    )
    resume_path = models.CharField(max_length=1000, blank=True, help_text="checkpoint named to start from")
    resume_attempt = models.PositiveIntegerField(
        default=1, help_text="the attempt that resume_path was named for"
    )

    step = models.PositiveIntegerField(default=0)
    total_steps = models.PositiveIntegerField(default=0, validators=[MinValueValidator(0)])
    final_loss = models.FloatField(null=True, blank=True)
    params_hash = models.CharField(max_length=64, blank=True)
    result = models.JSONField(default=dict, blank=True)
    provenance = models.JSONField(default=dict, blank=True)

    tags = models.ManyToManyField("runs.Tag", blank=True, related_name="runs")
    notes = models.TextField(blank=True, max_length=100_000, help_text="what people wrote, in Markdown")
    archived_at = models.DateTimeField(null=True, blank=True, help_text="hidden from lists since")

    # What lists show, sort and search by; kept current by what stores results, so that a list of ten
    # thousand runs reads no points.
    last_loss = models.FloatField(null=True, blank=True, help_text="nats per supervised token")
    best_evaluation = models.ForeignKey(
        "runs.Evaluation", null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    tokens_per_second = models.FloatField(null=True, blank=True, help_text="real tokens, of late")
    step_seconds = models.FloatField(null=True, blank=True, help_text="time of an update, of late")
    parameters = models.PositiveBigIntegerField(null=True, blank=True, help_text="of the model")
    base_hash = models.CharField(
        max_length=PREFIX,
        blank=True,
        help_text="beginning of the hash of the base model that config names",
    )
    checkpoint_bytes = models.PositiveBigIntegerField(default=0, help_text="of the checkpoints on disk")

    stop_requested_at = models.DateTimeField(null=True, blank=True)
    stop_now = models.BooleanField(default=False, help_text="stop without a checkpoint")
    origin = models.TextField(blank=True, help_text="how the run was asked for")
    created_at = models.DateTimeField(auto_now_add=True)
    queued_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)

    # Filled by selectors.attach_headlines for lists.
    headline: "Evaluation | None" = None

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["kind", "-id"]),
            models.Index(fields=["status", "-priority", "queue_position"], name="runs_queue"),
            models.Index(fields=["archived_at", "-id"], name="runs_newest"),
            models.Index(fields=["base_hash", "-id"], name="runs_of_base"),
            # Everything short that a list sorts and searches by: it then reads no row for what it leaves out,
            # whose provenance may be long. Without what changes at every heartbeat.
            models.Index(
                fields=[
                    "archived_at",
                    "status",
                    "kind",
                    "dataset",
                    "owner",
                    "best_evaluation",
                    "device_kind",
                    "created_at",
                    "started_at",
                    "finished_at",
                    "last_loss",
                    "final_loss",
                    "tokens_per_second",
                    "parameters",
                    "checkpoint_bytes",
                    "total_steps",
                    "name",
                ],
                name="runs_listed",
            ),
        ]

    def __str__(self) -> str:
        return f"run {self.pk}" + (f" “{self.name}”" if self.name else "")

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Store the row; a new one learns which base model its recipe names."""
        if self._state.adding:
            self.base_hash = named_base(self.config)
        super().save(*args, **kwargs)

    def get_absolute_url(self) -> str:
        """Address of the run's page."""
        return reverse("runs:detail", args=[self.pk])

    @property
    def address(self) -> str:
        """Full address of the run's page, for the terminal."""
        return settings.TUNIX_BASE_URL.rstrip("/") + self.get_absolute_url()

    @property
    def is_alive(self) -> bool:
        """Whether the run will still change by itself."""
        return self.status in ALIVE

    @property
    def is_supervised(self) -> bool:
        """Whether a supervisor holds the run."""
        return self.status in SUPERVISED

    @property
    def silence(self) -> dt.timedelta | None:
        """How long a run at work has shown no life, where that is longer than a locked database explains."""
        if not self.is_supervised or self.heartbeat_at is None:
            return None
        silent = timezone.now() - self.heartbeat_at
        return silent if silent > LONGEST_SILENCE else None

    @property
    def is_ended(self) -> bool:
        """Whether the last attempt is over."""
        return self.status in ENDED

    @property
    def is_resumable(self) -> bool:
        """Whether another attempt may take the run up."""
        return self.status in INTERRUPTED

    @property
    def step_unit(self) -> str:
        """What ``step`` and ``total_steps`` count."""
        return "prompt" if self.kind == Kind.EVALUATE else "step"

    @property
    def progress_percent(self) -> int:
        """Steps done in percent of all."""
        return min(100, round(100 * self.step / self.total_steps)) if self.total_steps else 0

    @property
    def inexact_attempts(self) -> "models.QuerySet[Attempt]":
        """The starts that were no exact continuation, apart from the one that made this run a fork."""
        rows = self.attempts.exclude(inexact="")
        return rows if self.parent_step is None else rows.exclude(start_step=self.parent_step)

    @property
    def directory(self) -> Path:
        """Folder of the run's own files: journals, logs, provenance."""
        return Path(settings.TUNIX_ARTIFACTS_DIR) / "runs" / str(self.pk)

    def attempt_directory(self, number: int) -> Path:
        """Folder of one attempt: ``metrics.jsonl`` and ``log.txt``."""
        return self.directory / f"attempt-{number}"


class Attempt(models.Model):
    """One start of a run: who supervised it, where, and how it ended."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="attempts", db_index=False)
    number = models.PositiveIntegerField()
    host = models.CharField(max_length=255)
    boot_id = models.CharField(max_length=36, blank=True, help_text="the start of the host that it ran in")
    supervisor_pid = models.PositiveIntegerField(null=True, blank=True)
    supervisor_started = models.FloatField(
        null=True, blank=True, help_text="process start in seconds after boot, tells a reused pid"
    )
    outlives_supervisor = models.BooleanField(
        default=False, help_text="its process goes on by itself, for a worker to adopt"
    )
    adoptions = models.PositiveSmallIntegerField(default=0, help_text="supervisors that took it over")
    child_pid = models.PositiveIntegerField(null=True, blank=True)
    child_started = models.FloatField(null=True, blank=True)
    device = models.CharField(max_length=120)
    start_step = models.PositiveIntegerField(default=0)
    end_step = models.PositiveIntegerField(null=True, blank=True)
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.STARTING)
    reason = models.TextField(blank=True)
    cause = models.CharField(max_length=20, blank=True, choices=Cause.choices, help_text="what ended it")
    failure = models.CharField(
        max_length=200, blank=True, help_text="the error's class and message, to tell whether it came again"
    )
    exit_code = models.IntegerField(null=True, blank=True, help_text="negative: the signal that ended it")
    stop_sent_at = models.DateTimeField(null=True, blank=True, help_text="when its process was told to stop")
    killed_at = models.DateTimeField(null=True, blank=True, help_text="when its process was ended by force")
    inexact = models.TextField(
        blank=True, help_text="what makes this start no exact continuation; empty: it is exact"
    )
    journal_offset = models.PositiveBigIntegerField(
        default=0, help_text="bytes of the journal already stored"
    )
    last_word = models.JSONField(default=dict, blank=True, help_text="what the child said at its end")
    started_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["run", "number"]
        constraints = [models.UniqueConstraint(fields=["run", "number"], name="one_attempt_a_number")]

    def __str__(self) -> str:
        return f"run {self.run_id}, attempt {self.number}"
