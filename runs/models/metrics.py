"""What rollups keep of metric points: one row for every stretch of steps, in several widths."""

from django.db import models

from runs.models.run import Run


class MetricBucket(models.Model):
    """What is known of the points of one series within one stretch of steps.

    A series is a metric's curve (``track`` 0), or what attempt ``track`` recorded of it and later attempts
    overtook. ``bucket`` counts stretches of the level's width, see `runs.metrics.levels`. All of it follows
    from the points, so it can be made again from them at any time.
    """

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="buckets", db_index=False)
    level = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=80)
    track = models.PositiveIntegerField()
    bucket = models.PositiveIntegerField()
    finite = models.PositiveIntegerField(help_text="points with a finite value")
    non_finite = models.PositiveIntegerField(help_text="points whose value is NaN or infinite")
    low = models.FloatField(null=True)
    high = models.FloatField(null=True)
    total = models.FloatField(null=True, help_text="sum of the finite values")
    first_step = models.PositiveIntegerField()
    last_step = models.PositiveIntegerField()
    last_value = models.FloatField(null=True)
    last_at = models.DateTimeField()
    newest = models.PositiveBigIntegerField(help_text="the largest id of its points")

    class Meta:
        ordering = ["run", "level", "name", "track", "bucket"]
        constraints = [
            # The same index serves every read: all series of a run at one level lie side by side.
            models.UniqueConstraint(
                fields=["run", "level", "name", "track", "bucket"], name="one_bucket_a_stretch"
            )
        ]

    def __str__(self) -> str:
        return f"run {self.run_id} {self.name}, level {self.level}, bucket {self.bucket}"

    @property
    def points(self) -> int:
        """How many points it holds."""
        return self.finite + self.non_finite
