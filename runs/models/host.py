"""The machines that train: their devices, who holds which, and the workers that run there."""

from django.db import models

from runs.models.run import Run


class DeviceLease(models.Model):
    """The right to use one device of one host; the constraint makes it exclusive."""

    host = models.CharField(max_length=255)
    device = models.CharField(max_length=120, help_text="cpu:0, or a GPU's UUID")
    run = models.OneToOneField(Run, on_delete=models.CASCADE, related_name="lease")
    attempt = models.PositiveIntegerField()
    acquired_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["host", "device"]
        constraints = [models.UniqueConstraint(fields=["host", "device"], name="one_run_a_device")]

    def __str__(self) -> str:
        return f"{self.device} on {self.host}: run {self.run_id}"


class HostDevice(models.Model):
    """A device as its host's worker last saw it.

    Facts that the driver does not tell are NULL or empty. ``processes`` lists what uses the
    card: ``{"pid", "name", "memory_bytes", "run_id"}``, with ``run_id`` null for a foreign one.
    """

    host = models.CharField(max_length=255)
    key = models.CharField(max_length=120, help_text="cpu:0, or a GPU's UUID")
    kind = models.CharField(max_length=8, choices=[("cpu", "CPU"), ("gpu", "GPU")])
    index = models.PositiveSmallIntegerField(default=0)
    name = models.CharField(max_length=200, blank=True)
    memory_bytes = models.PositiveBigIntegerField(null=True)
    free_bytes = models.PositiveBigIntegerField(null=True)
    driver = models.CharField(max_length=40, blank=True)
    mig = models.CharField(max_length=80, blank=True, help_text="how a card is divided; empty: it is not")
    utilisation = models.FloatField(null=True, help_text="share of 1")
    temperature = models.FloatField(null=True, help_text="degrees Celsius")
    processes = models.JSONField(default=list)
    usable = models.BooleanField(default=True)
    trouble = models.CharField(max_length=200, blank=True, help_text="why it takes no run now")
    seen_at = models.DateTimeField(help_text="when the worker last found it there")

    class Meta:
        ordering = ["host", "kind", "index"]
        constraints = [models.UniqueConstraint(fields=["host", "key"], name="one_row_a_device")]

    def __str__(self) -> str:
        return f"{self.label} on {self.host}"

    @property
    def label(self) -> str:
        """Name for people, as flags have it: kind and index."""
        return f"{self.kind}:{self.index}"


class Worker(models.Model):
    """A running ``manage.py worker``, known by its heartbeat.

    ``clusters`` lists the processes that it keeps: ``{"name", "pid", "device", "starts"}``.
    """

    host = models.CharField(max_length=255)
    pid = models.PositiveIntegerField()
    boot_id = models.CharField(max_length=36, blank=True)
    started_ticks = models.FloatField(null=True, help_text="process start in seconds after boot")
    store = models.CharField(max_length=32, blank=True, help_text="its artifacts folder")
    version = models.CharField(max_length=40, blank=True)
    clusters = models.JSONField(default=list)
    drain_requested_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(auto_now_add=True)
    beat_at = models.DateTimeField()

    class Meta:
        ordering = ["-beat_at"]
        constraints = [models.UniqueConstraint(fields=["host", "pid"], name="one_worker_a_process")]

    def __str__(self) -> str:
        return f"worker {self.pid} on {self.host}"
