"""What people let models write on the playground, and the process that writes it."""

from typing import Final

from django.conf import settings
from django.db import models

from runs.models.run import Run


class PlaygroundSession(models.Model):
    """A run whose process keeps models loaded and writes after one prompt after the other.

    ``accepts``: it takes further prompts. The change of it, and the adding of a prompt, hold the
    row, so that no prompt comes to a process that is about to end.
    """

    run = models.OneToOneField(
        Run, primary_key=True, on_delete=models.CASCADE, related_name="playground_session"
    )
    store = models.CharField(max_length=32, blank=True, help_text="the artifacts folder it reads from")
    device_kind = models.CharField(max_length=8)
    accepts = models.BooleanField(default=True)
    asked_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["run"]
        indexes = [
            models.Index(
                fields=["store", "device_kind"], condition=models.Q(accepts=True), name="playground_open"
            )
        ]

    def __str__(self) -> str:
        return f"playground session of run {self.run_id}"


class Generation(models.Model):
    """A text that somebody asked a checkpoint to write.

    ``state`` is what the writing process, or who withdrew it, said last. Whether that still holds
    depends on the run of its session: see `runs.playground.standing`. ``beside`` is the first of two
    that were asked for together.
    """

    class State(models.TextChoices):
        WAITING = "waiting", "waiting"
        WRITING = "writing", "writing"
        DONE = "done", "done"
        STOPPED = "stopped", "stopped"
        FAILED = "failed", "failed"

    run = models.ForeignKey(
        Run, on_delete=models.CASCADE, related_name="generations", db_index=False, help_text="whose model"
    )
    step = models.PositiveIntegerField()
    path = models.CharField(max_length=1000, help_text="the checkpoint's folder")
    session = models.ForeignKey(
        PlaygroundSession, null=True, on_delete=models.SET_NULL, related_name="generations", db_index=False
    )
    beside = models.OneToOneField(
        "self", null=True, on_delete=models.SET_NULL, related_name="partner", help_text="the first of a pair"
    )
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.SET_NULL,
        related_name="generations",
        db_index=False,
    )
    prompt = models.TextField()
    decoding = models.JSONField(help_text="how it is drawn (training.decoding)")
    family = models.CharField(max_length=60, blank=True, help_text="whose checker knows its steps")
    trace_hash = models.CharField(max_length=64, blank=True, help_text="the held-out trace that it is")
    expected_steps = models.JSONField(default=list)
    expected_answer = models.TextField(null=True)  # noqa: DJ001  none given differs from an empty one
    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING)
    reason = models.TextField(blank=True, help_text="why it stands where it stands")
    text = models.TextField(blank=True)
    tokens = models.PositiveIntegerField(default=0)
    finished = models.BooleanField(default=False, help_text="the model ended the text itself")
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    first_text_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["run", "-id"], name="generations_of_run"),
            models.Index(fields=["session", "state", "id"], name="generations_of_session"),
            models.Index(fields=["owner", "-created_at"], name="generations_of_owner"),
        ]

    def __str__(self) -> str:
        return f"generation {self.pk} of run {self.run_id}, step {self.step}"


OPEN: Final = (Generation.State.WAITING, Generation.State.WRITING)
