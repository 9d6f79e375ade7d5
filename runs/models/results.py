"""What runs leave behind: metric points, checkpoints, evaluations, samples, benchmarks."""

from pathlib import Path

from django.db import models
from django.db.models import Q
from django.db.models.functions import Cast, StrIndex
from django.db.models.lookups import GreaterThan
from django.urls import reverse

from datasets_app.models import Dataset
from runs.models.run import Run


class MetricPoint(models.Model):
    """One value of one metric at one step of one attempt.

    ``value`` is NULL where the number was not finite; ``non_finite`` then says which it
    was. Points that a resume overtook stay, marked ``superseded``.
    """

    NON_FINITE = [("nan", "NaN"), ("inf", "+∞"), ("-inf", "-∞")]

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="points", db_index=False)
    name = models.CharField(max_length=80)
    step = models.PositiveIntegerField()
    attempt = models.PositiveIntegerField()
    value = models.FloatField(null=True)
    non_finite = models.CharField(max_length=4, blank=True, choices=NON_FINITE)
    superseded = models.BooleanField(default=False)
    at = models.DateTimeField()

    class Meta:
        ordering = ["run", "name", "step", "attempt"]
        constraints = [
            # The same index serves every read of a series.
            models.UniqueConstraint(fields=["run", "name", "step", "attempt"], name="one_point_a_step")
        ]
        indexes = [
            # Few points are not finite, and charts mark each of them.
            models.Index(fields=["run", "name", "step"], condition=Q(value=None), name="points_not_finite")
        ]

    def __str__(self) -> str:
        return f"run {self.run_id} {self.name}[{self.step}] = {self.value}"


class Checkpoint(models.Model):
    """A checkpoint that was complete on disk when it was recorded."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="checkpoints", db_index=False)
    step = models.PositiveIntegerField()
    attempt = models.PositiveIntegerField()
    path = models.CharField(max_length=1000)
    size_bytes = models.PositiveBigIntegerField()
    metadata = models.JSONField(default=dict)
    superseded = models.BooleanField(default=False)
    pinned = models.BooleanField(default=False, help_text="kept whatever the retention says")
    removed_at = models.DateTimeField(null=True, blank=True, help_text="when its files were found gone")
    removed_why = models.CharField(max_length=200, blank=True, help_text="who or what removed its files")
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["run", "-step", "-attempt"]
        constraints = [
            models.UniqueConstraint(fields=["run", "step", "attempt"], name="one_checkpoint_a_step")
        ]

    def __str__(self) -> str:
        return f"run {self.run_id}, step {self.step}"

    @property
    def on_disk(self) -> bool:
        """Whether the folder is still there."""
        return Path(self.path).is_dir()


class Evaluation(models.Model):
    """Loss and graded answers of one checkpoint on one split of one dataset.

    ``run`` is the run whose model was graded; ``made_by`` the run that did the grading
    (the same one for evaluations during training).
    """

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="evaluations")
    made_by = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="made_evaluations")
    attempt = models.PositiveIntegerField()
    step = models.PositiveIntegerField()
    dataset = models.ForeignKey(Dataset, null=True, on_delete=models.PROTECT, related_name="evaluations")
    split = models.CharField(max_length=16)
    final = models.BooleanField(default=False)
    n = models.PositiveIntegerField()
    correct = models.PositiveIntegerField()
    loss = models.FloatField(null=True)
    answer_accuracy = models.FloatField()
    interval_low = models.FloatField()
    interval_high = models.FloatField()
    step_accuracy = models.FloatField(null=True)
    seconds = models.FloatField()
    generated_tokens = models.PositiveIntegerField()
    superseded = models.BooleanField(default=False)
    created_at = models.DateTimeField()

    checkpoint = models.ForeignKey(
        Checkpoint,
        null=True,
        on_delete=models.SET_NULL,
        related_name="evaluations",
        help_text="what was graded",
    )
    grader = models.CharField(max_length=60, blank=True, help_text="empty: before there was a choice")
    grader_version = models.PositiveIntegerField(default=0)
    decoding = models.JSONField(default=dict, help_text="how texts were drawn (training.decoding)")
    limit = models.PositiveIntegerField(null=True, help_text="prompts at most, as asked")
    subset_seed = models.PositiveIntegerField(default=0, help_text="what chose them")
    draws = models.PositiveIntegerField(default=1, help_text="texts a prompt")
    pass_at = models.JSONField(default=dict, help_text="pass@k by k")
    majority_accuracy = models.FloatField(null=True, help_text="share whose commonest answer is right")
    format_rate = models.FloatField(null=True, help_text="share of texts with exactly one answer")
    right_with_invalid_step = models.PositiveIntegerField(default=0)
    generation_seconds = models.FloatField(null=True)
    results_hash = models.CharField(max_length=64, blank=True, help_text="over all texts and verdicts")
    overlap = models.JSONField(
        null=True, help_text="what of its prompts stands in the model's training data; NULL: not looked yet"
    )

    class Meta:
        ordering = ["run", "step", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["made_by", "attempt", "step", "split", "final"], name="one_evaluation_a_step"
            )
        ]
        indexes = [
            # The worker asks every few seconds whether any waits to be looked at.
            models.Index(
                fields=["id"],
                condition=Q(overlap__isnull=True, superseded=False),
                name="evaluations_unchecked",
            ),
            models.Index(fields=["dataset", "split", "superseded"], name="evaluations_of_content"),
        ]

    def __str__(self) -> str:
        return f"run {self.run_id}, step {self.step}: {self.correct}/{self.n}"

    def get_absolute_url(self) -> str:
        """Address of its page."""
        return reverse("evaluations:detail", args=[self.pk])

    @property
    def tokens_per_second(self) -> float | None:
        """Generated tokens a second of generation; None where its time was not recorded."""
        return self.generated_tokens / self.generation_seconds if self.generation_seconds else None

    @property
    def right_below_invalid(self) -> int | None:
        """Right answers with a step that is not valid; None of rows from before that was recorded."""
        return self.right_with_invalid_step if self.grader else None

    @property
    def metrics(self) -> dict[str, float | None]:
        """Its figures under the names that metrics have."""
        return {
            "eval/loss": self.loss,
            "eval/answer_accuracy": self.answer_accuracy,
            "eval/step_accuracy": self.step_accuracy,
        }


class Sample(models.Model):
    """One text that the model wrote to a prompt of an evaluation, and the verdicts."""

    evaluation = models.ForeignKey(
        Evaluation, on_delete=models.CASCADE, related_name="samples", db_index=False
    )
    position = models.PositiveIntegerField()
    trace_hash = models.CharField(max_length=64)
    prompt = models.TextField()
    expected_steps = models.JSONField(default=list)
    expected_answer = models.TextField()
    generated_text = models.TextField()
    generated_steps = models.JSONField(default=list)
    steps_valid = models.JSONField(default=list, help_text="true, false or null for each generated step")
    answer = models.TextField(null=True)  # noqa: DJ001  no answer at all differs from an empty one
    correct = models.BooleanField()
    rule = models.CharField(max_length=40)
    draw = models.PositiveIntegerField(default=0, help_text="number of the text after this prompt")
    tokens = models.PositiveIntegerField(null=True)
    finished = models.BooleanField(default=True, help_text="the model ended the text itself")
    first_wrong_step = models.PositiveIntegerField(null=True)
    checks = models.JSONField(default=dict, help_text="further checks: passed, failed, or nothing to check")
    majority_correct = models.BooleanField(
        null=True, help_text="of several texts, whether the commonest answer is right; on the first alone"
    )
    overlap = models.CharField(max_length=16, blank=True, help_text="how the prompt stands in training data")
    # Worked out by the database, so that no writer can forget it.
    invalid_step = models.GeneratedField(
        expression=GreaterThan(
            StrIndex(Cast("steps_valid", models.TextField()), models.Value("false")), models.Value(0)
        ),
        output_field=models.BooleanField(help_text="a checker found one of its steps not valid"),
        db_persist=True,
    )

    class Meta:
        ordering = ["evaluation", "position", "draw"]
        constraints = [
            models.UniqueConstraint(fields=["evaluation", "position", "draw"], name="one_sample_a_draw")
        ]
        indexes = [
            # Holds all that a verdict needs: ten thousand of them are read without one text.
            models.Index(
                fields=[
                    "evaluation",
                    "trace_hash",
                    "draw",
                    "correct",
                    "majority_correct",
                    "invalid_step",
                    "position",
                ],
                name="verdicts_of_evaluation",
            )
        ]

    def __str__(self) -> str:
        return f"sample {self.position} of evaluation {self.evaluation_id}"

    @property
    def prompt_correct(self) -> bool:
        """The verdict on the prompt, on its first text: of the majority where there are several."""
        return self.correct if self.majority_correct is None else self.majority_correct


class Benchmark(models.Model):
    """The record of one benchmark run, as it also stands in ``artifacts/benchmarks/<id>.json``.

    ``recipe`` is the same for all that measured the same thing, ``group`` for those that one command
    started. Of one that failed, as for want of memory, ``failure`` says why, and it has no figures.
    """

    run = models.OneToOneField(Run, on_delete=models.CASCADE, related_name="benchmark")
    record = models.JSONField()
    name = models.CharField(max_length=300, blank=True, db_index=True, help_text="names a baseline")
    recipe = models.CharField(max_length=16, blank=True, db_index=True)
    group = models.CharField(max_length=32, blank=True, db_index=True)
    device_name = models.CharField(max_length=200)
    model = models.CharField(max_length=60)
    batch_size = models.PositiveIntegerField()
    sequence_length = models.PositiveIntegerField()
    precision = models.CharField(max_length=16)
    step_time_median = models.FloatField(null=True, help_text="seconds")
    tokens_per_second = models.FloatField(null=True)
    failure = models.TextField(blank=True)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"benchmark {self.pk}: {self.model} on {self.device_name}"
