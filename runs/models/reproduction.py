"""The verdict on a run that repeats another one."""

from django.db import models

from runs.models.run import Run


class Verdict(models.TextChoices):
    """What came out of a reproduction."""

    PENDING = "pending", "not decided yet"
    IDENTICAL = "identical", "bitwise identical"
    DIFFERS = "differs", "differs"
    NOT_COMPARABLE = "not_comparable", "not comparable"


class Reproduction(models.Model):
    """That ``run`` repeats ``of``, and how equal the two came out.

    The verdict is written once, when ``run`` completes. Until then, also while ``run`` is
    interrupted and may still be resumed, it is pending.
    """

    of = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="reproductions")
    run = models.OneToOneField(Run, on_delete=models.CASCADE, related_name="reproduction")
    to_step = models.PositiveIntegerField(null=True, help_text="last step repeated; empty: all")
    verdict = models.CharField(max_length=16, choices=Verdict.choices, default=Verdict.PENDING)
    reason = models.TextField(blank=True, help_text="why the two are not comparable, or what was left out")
    identical_until = models.PositiveIntegerField(
        null=True, help_text="last step up to which every compared point is equal; empty: none compared"
    )
    first_difference = models.JSONField(
        default=dict, help_text="metric, step and both values where the two differ first"
    )
    metrics = models.JSONField(default=list, help_text="one comparison a metric")
    points_compared = models.PositiveIntegerField(default=0)
    params_hash_equal = models.BooleanField(null=True, help_text="empty: there was no hash to compare with")
    differences = models.JSONField(default=list, help_text="what differs in code, packages, data and device")
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"run {self.run_id} reproduces run {self.of_id}: {self.verdict}"
