"""What a training changed: its evaluation before the first update beside its last, on the same prompts."""

import math
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from django.core.cache import cache
from django.db.models import Count, Q
from django.urls import reverse

from runs.compare.grades import read_grades
from runs.compare.pairing import Paired, paired
from runs.evaluation_pairs.choosing import differences
from runs.models import Evaluation, Run, Sample
from runs.states import Kind
from training.grading.intervals import wilson_interval

_Z95: Final = 1.959963984540054
KEPT_SECONDS: Final = 24 * 3600


@dataclass(frozen=True, slots=True)
class Form:
    """How many texts an evaluation holds, and how many of them the model ended itself."""

    texts: int
    finished: int

    @property
    def finished_rate(self) -> float:
        """Share of the texts that ended by themselves."""
        return self.finished / self.texts


@dataclass(frozen=True, slots=True)
class BeforeAfter:
    """Two evaluations of one training and how they differ on the prompts that both hold."""

    before: Evaluation
    after: Evaluation
    counts: Paired
    form_before: Form
    form_after: Form

    @property
    def labels(self) -> tuple[str, str]:
        """Name both; a model from scratch has no base."""
        is_tuned = "@" in str(self.after.run.config.get("model", ""))
        return ("Base model", "Fine-tuned") if is_tuned else ("Before training", "Trained")

    @property
    def accuracy_before(self) -> float:
        """Share of the shared prompts that was right before the first update."""
        return (self.counts.both_right + self.counts.only_baseline) / self.counts.n

    @property
    def accuracy_after(self) -> float:
        """Share of them that is right afterwards."""
        return (self.counts.both_right + self.counts.only_other) / self.counts.n

    @property
    def interval_before(self) -> tuple[float, float]:
        """95 % interval of the share before."""
        return wilson_interval(self.counts.both_right + self.counts.only_baseline, self.counts.n)

    @property
    def interval_after(self) -> tuple[float, float]:
        """95 % interval of the share afterwards."""
        return wilson_interval(self.counts.both_right + self.counts.only_other, self.counts.n)

    @property
    def change(self) -> float:
        """By how much the share of right answers rose."""
        return self.accuracy_after - self.accuracy_before

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the change.

        Agresti and Min (Statistics in Medicine 24, 2005): the normal interval for paired shares, with half
        a prompt added to each of the four counts, so that it has a width where no prompt changed.
        """
        gained, lost, n = self.counts.only_other + 0.5, self.counts.only_baseline + 0.5, self.counts.n + 2
        middle = (gained - lost) / n
        half = _Z95 * math.sqrt(gained + lost - (gained - lost) ** 2 / n) / n
        return max(-1.0, middle - half), min(1.0, middle + half)

    @property
    def words(self) -> str:
        """Say what chance explains of it."""
        pair = self.counts
        if not pair.discordant:
            return "no verdict changed"
        if pair.only_other == pair.only_baseline:
            return "as many gained as lost"
        better = "better" if pair.only_other > pair.only_baseline else "worse"
        return (
            f"{better}, {'more than chance explains' if pair.p_value < 0.05 else 'but chance may explain it'}"
        )

    @property
    def form_words(self) -> str:
        """Say how many texts of either were finished and had the form that is asked for."""
        first, second = self.labels
        return (
            f"{first}: {_form_words(self.form_before, self.before)}. "
            f"{second}: {_form_words(self.form_after, self.after)}."
        )

    @property
    def caution(self) -> str:
        """Say what the share before does not measure."""
        room = self.before.decoding.get("max_new_tokens")
        within = f" within {room} tokens" if room else ""
        return (
            "As a rule an answer counts only in the form that is asked for and in a text that ended by "
            f"itself{within}: a low share before may say that the model answers otherwise or at greater "
            "length, not that it cannot solve them."
        )

    @property
    def change_points(self) -> str:
        """Write the change in points."""
        return _points(self.change)

    @property
    def interval_points(self) -> str:
        """Write the interval of the change in points."""
        low, high = self.interval
        return f"{_points(low)} to {_points(high)}"

    @property
    def address(self) -> str:
        """Where both stand beside each other, prompt by prompt."""
        return (
            f"{reverse('evaluation_pairs:compare')}?{urlencode({'ids': f'{self.before.pk},{self.after.pk}'})}"
        )


def before_after(run: Run) -> BeforeAfter | None:
    """Compare a training's evaluation of step 0 with its last one of the same data, or None without both."""
    if run.kind != Kind.TRAIN or not run.config.get("evaluate_first"):
        return None
    rows = list(
        Evaluation.objects.select_related("dataset", "run")
        .filter(run=run, made_by=run, superseded=False)
        .order_by("step", "id")
    )
    before = next((row for row in rows if row.step == 0), None)
    if before is None:
        return None
    # The one at the end is as thorough as the first; those on the way read fewer prompts.
    later = sorted((row for row in rows if row.step > 0), key=lambda row: (row.final, row.step, row.pk))
    alike = [row for row in later if not differences(before, row, drawing=True)]
    if not alike:
        return None
    after = alike[-1]
    counts, form_before, form_after = _counted(before, after)
    return BeforeAfter(before, after, counts, form_before, form_after) if counts.n else None


def _counted(before: Evaluation, after: Evaluation) -> tuple[Paired, Form, Form]:
    """Count the verdicts on shared prompts and the finished texts, with two queries or out of the cache.

    What is stored of an evaluation stays as it is, so it is counted once.
    """
    known = "-".join(f"{row.pk}-{row.created_at.timestamp()}" for row in (before, after))
    found: tuple[Paired, Form, Form] | None = cache.get(f"before-after-{known}")
    if found is None:
        grades, forms = read_grades([before, after]), _forms([before, after])
        counts = paired(grades[before.pk].right, grades[after.pk].right)
        found = (counts, forms[before.pk], forms[after.pk])
        cache.set(f"before-after-{known}", found, KEPT_SECONDS)
    return found


def _forms(rows: list[Evaluation]) -> dict[int, Form]:
    counted = (
        Sample.objects.filter(evaluation__in=rows)
        .order_by()
        .values_list("evaluation_id")
        .annotate(texts=Count("pk"), done=Count("pk", filter=Q(finished=True)))
    )
    return {row.pk: Form(0, 0) for row in rows} | {pk: Form(texts, done) for pk, texts, done in counted}


def _form_words(form: Form, row: Evaluation) -> str:
    words = f"{form.finished_rate:.1%} of {form.texts} texts were finished"
    if row.format_rate is None:
        return words
    return f"{words}, and {row.format_rate:.1%} had the form that is asked for"


def _points(share: float) -> str:
    points = round(100 * share, 1)
    sign = "+" if points > 0 else "−" if points < 0 else "±"
    return f"{sign}{abs(points):.1f}"
