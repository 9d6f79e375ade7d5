"""Two runs on the same prompts: who answered which right, and what chance explains of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Count, OuterRef, Subquery

from runs.models import Evaluation, Sample

SMALLEST_SHOWN = 0.0001


@dataclass(frozen=True, slots=True)
class Paired:
    """Counts over the prompts that two evaluations share, by who was right."""

    both_right: int = 0
    only_baseline: int = 0
    only_other: int = 0
    both_wrong: int = 0

    @property
    def n(self) -> int:
        """How many prompts both were graded on."""
        return self.both_right + self.only_baseline + self.only_other + self.both_wrong

    @property
    def discordant(self) -> int:
        """On how many of them they differ."""
        return self.only_baseline + self.only_other

    @property
    def p_value(self) -> float:
        """The exact two-sided McNemar p-value."""
        return exact_mcnemar(self.only_baseline, self.only_other)

    @property
    def p_words(self) -> str:
        """The p-value as text, with as many digits as it deserves."""
        value = self.p_value
        return f"p < {SMALLEST_SHOWN}" if value < SMALLEST_SHOWN else f"p = {value:.4f}"

    @property
    def words(self) -> str:
        """What the test says, for people."""
        if not self.n:
            return "no prompt in common"
        if not self.discordant:
            return "no difference on any prompt"
        leads = "this run is ahead" if self.only_other > self.only_baseline else "the baseline is ahead"
        if self.only_other == self.only_baseline:
            leads = "neither is ahead"
        sure = "more than chance explains" if self.p_value < 0.05 else "chance may explain it"
        return f"{leads}; {sure}" if self.only_other != self.only_baseline else leads


def exact_mcnemar(first: int, second: int) -> float:
    """Give the two-sided p-value of McNemar's test, exact by the binomial distribution.

    Of ``first + second`` prompts on which two models differ, each is as likely to be either's under the
    hypothesis that they are equally good; the value is the chance of a split at least as uneven.

    Raises:
        ValueError: for negative counts.
    """
    if first < 0 or second < 0:
        raise ValueError(f"{first} and {second} are no counts")
    n, least = first + second, min(first, second)
    ways: int = 2**n
    term, total = 1, 0
    for k in range(least + 1):
        total += term
        term = term * (n - k) // (k + 1)
    # Whole numbers up to the division, which rounds once.
    return min(1.0, 2 * total / ways)


def paired_counts(*, baseline: Evaluation, others: Sequence[Evaluation]) -> dict[int, Paired]:
    """Count the shared prompts of a baseline and each other evaluation by who was right, with one query."""
    theirs = Sample.objects.filter(evaluation=baseline, trace_hash=OuterRef("trace_hash"))
    rows = (
        Sample.objects.filter(evaluation__in=others)
        .annotate(base=Subquery(theirs.order_by("position").values("correct")[:1]))
        .filter(base__isnull=False)
        .order_by()
        .values("evaluation_id", "base", "correct")
        .annotate(n=Count("pk"))
        .values_list("evaluation_id", "base", "correct", "n")
    )
    counts: dict[int, dict[tuple[bool, bool], int]] = {row.pk: {} for row in others}
    for pk, base, correct, n in rows:
        counts[pk][bool(base), bool(correct)] = n
    return {
        pk: Paired(
            both_right=found.get((True, True), 0),
            only_baseline=found.get((True, False), 0),
            only_other=found.get((False, True), 0),
            both_wrong=found.get((False, False), 0),
        )
        for pk, found in counts.items()
    }
