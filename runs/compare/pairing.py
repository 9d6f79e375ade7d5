"""Two runs on the same prompts: who answered which right, and what chance explains of it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

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


def paired(baseline: Mapping[str, bool], other: Mapping[str, bool]) -> Paired:
    """Count the prompts that two evaluations share, given by hash with whether the answer was right."""
    counts = Counter((right, other[prompt]) for prompt, right in baseline.items() if prompt in other)
    return Paired(
        both_right=counts[True, True],
        only_baseline=counts[True, False],
        only_other=counts[False, True],
        both_wrong=counts[False, False],
    )
