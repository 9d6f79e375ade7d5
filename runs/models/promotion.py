"""Names that people give to checkpoints, what a name asks of them, and every move of a name."""

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models

from runs.models.results import Checkpoint, Evaluation

NAME_PATTERN = r"^[a-z][a-z0-9._-]{0,39}\Z"
NAME_RULE = "Write a small letter, then up to 39 of a-z, 0-9 and . _ -"
ALIAS_NAME = RegexValidator(NAME_PATTERN, NAME_RULE)


class Alias(models.Model):
    """A name within the scope of a dataset key, and the checkpoint that it points at.

    ``version`` counts its moves; whoever moves it names the version that was seen, so that of two at the
    same moment the second sees what the first did.
    """

    scope = models.CharField(max_length=100, help_text="dataset key")
    name = models.CharField(max_length=40, validators=[ALIAS_NAME])
    # NULL: the name was let go; the row stays, so that its versions go on.
    checkpoint = models.ForeignKey(Checkpoint, null=True, on_delete=models.PROTECT, related_name="aliases")
    evaluation = models.ForeignKey(
        Evaluation,
        null=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text="what spoke for the checkpoint",
    )
    version = models.PositiveIntegerField(default=0)
    moved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    moved_by_name = models.CharField(max_length=150, blank=True, help_text="empty: by itself")
    why = models.TextField(max_length=2000)
    moved_at = models.DateTimeField()

    class Meta:
        ordering = ["scope", "name"]
        verbose_name_plural = "aliases"
        constraints = [models.UniqueConstraint(fields=["scope", "name"], name="one_alias_a_name")]

    def __str__(self) -> str:
        return f"{self.scope}:{self.name}"


class AliasMove(models.Model):
    """One move of an alias; written once, never changed. Numbers stay when a run is deleted."""

    scope = models.CharField(max_length=100)
    name = models.CharField(max_length=40)
    version = models.PositiveIntegerField(help_text="of the alias, after this move")
    from_run = models.PositiveBigIntegerField(null=True)
    from_step = models.PositiveIntegerField(null=True)
    to_run = models.PositiveBigIntegerField(null=True, help_text="empty: the name was let go")
    to_step = models.PositiveIntegerField(null=True)
    evaluation = models.PositiveBigIntegerField(null=True, help_text="what spoke for the checkpoint")
    moved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    moved_by_name = models.CharField(max_length=150, blank=True, help_text="empty: by itself")
    why = models.TextField(max_length=2000)
    unmet = models.JSONField(default=list, help_text="conditions of the gate that an admin went over")
    moved_at = models.DateTimeField()

    class Meta:
        ordering = ["-moved_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["scope", "name", "version"], name="one_move_a_version")
        ]

    def __str__(self) -> str:
        where = f"run {self.to_run}, step {self.to_step}" if self.to_run else "nothing"
        return f"{self.scope}:{self.name} to {where}"


class AliasRule(models.Model):
    """What a checkpoint must show before a name may point at it; for ``best``, what it follows.

    Where ``metric`` is set the name moves by itself to the best evaluation that meets the rest.
    """

    class Overlap(models.TextChoices):
        """How much of the test prompts may stand in the model's training data."""

        NONE = "none", "checked, and none by trace, prompt or 13 words"
        PROMPTS = "prompts", "checked, and none by trace or prompt; runs of 13 words may be shared"
        ANY = "any", "not asked for"

    scope = models.CharField(max_length=100, help_text="dataset key")
    name = models.CharField(max_length=40, validators=[ALIAS_NAME])
    metric = models.CharField(max_length=40, blank=True, help_text="what it follows; empty: moved by hand")
    higher_is_better = models.BooleanField(default=True)
    split = models.CharField(max_length=16, default="test")
    grader = models.CharField(max_length=60, blank=True, help_text="empty: any grader that is recorded")
    content_hash = models.CharField(
        max_length=64, blank=True, help_text="beginning of a content's hash; empty: the newest content"
    )
    min_n = models.PositiveIntegerField(default=0, help_text="graded prompts at least")
    min_accuracy = models.FloatField(
        null=True, blank=True, help_text="share of 1 that the 95 % interval's lower bound must reach"
    )
    overlap = models.CharField(max_length=8, choices=Overlap.choices, default=Overlap.NONE)
    changed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["scope", "name"]
        constraints = [models.UniqueConstraint(fields=["scope", "name"], name="one_rule_a_name")]

    def __str__(self) -> str:
        return f"rule of {self.scope}:{self.name}"
