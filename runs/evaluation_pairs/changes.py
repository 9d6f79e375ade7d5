"""The prompts that two evaluations share, by who was right, and some of them in full."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from runs.compare.pairing import Paired, paired
from runs.models import Evaluation, Sample
from runs.samples.diffing import StepRow, step_rows

CHUNK: Final = 5000

Show = Literal["changed", "lost", "gained", "both_wrong", "both_right"]
# What `a` and `b` said of a prompt, by the choice that shows it.
SHOWS: Final[dict[Show, frozenset[tuple[bool, bool]]]] = {
    "changed": frozenset({(True, False), (False, True)}),
    "lost": frozenset({(True, False)}),
    "gained": frozenset({(False, True)}),
    "both_wrong": frozenset({(False, False)}),
    "both_right": frozenset({(True, True)}),
}


@dataclass(slots=True)
class Verdicts:
    """What an evaluation said of each prompt, and where it stands there."""

    right: dict[str, bool] = field(default_factory=dict)
    position: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pairing:
    """Two evaluations on the prompts that both hold.

    ``only_a`` and ``only_b`` count the prompts that one alone holds: they are left out.
    """

    counts: Paired
    only_a: int
    only_b: int
    right_a: dict[str, bool]
    right_b: dict[str, bool]
    order: list[str]

    def prompts(self, show: Show) -> list[str]:
        """Name the shared prompts of a choice by hash, in the order of the first evaluation."""
        wanted = SHOWS[show]
        return [one for one in self.order if (self.right_a[one], self.right_b[one]) in wanted]

    @property
    def words(self) -> str:
        """What the test says, naming the two as a and b."""
        pair = self.counts
        if not pair.n:
            return "The two share no prompt."
        if not pair.discordant:
            return "They agree on every prompt that both hold."
        if pair.only_baseline == pair.only_other:
            return "Neither is ahead."
        leads = "b" if pair.only_other > pair.only_baseline else "a"
        if pair.p_value < 0.05:
            return f"{leads} is ahead, by more than chance explains."
        return f"{leads} is ahead, but chance may explain it."


@dataclass(frozen=True, slots=True)
class Side:
    """What one evaluation wrote to a prompt; ``right`` is the verdict that counts."""

    sample: Sample
    right: bool
    steps: list[StepRow]


@dataclass(frozen=True, slots=True)
class Pair:
    """One prompt with what both wrote to it."""

    trace_hash: str
    prompt: str
    expected: str
    a: Side
    b: Side

    @property
    def change(self) -> str:
        """What became of it from a to b."""
        if self.a.right == self.b.right:
            return "both right" if self.a.right else "both wrong"
        return "right in a alone" if self.a.right else "right in b alone"


def verdicts_of(evaluation: Evaluation) -> Verdicts:
    """Read the verdict on each prompt: of several texts the commonest answer's.

    A trace that stands twice among the prompts must be right twice.
    """
    found = Verdicts()
    rows = Sample.objects.filter(evaluation=evaluation, draw=0).order_by("-position")
    light = rows.values_list("trace_hash", "correct", "majority_correct", "position")
    for trace_hash, correct, majority, position in light.iterator(chunk_size=CHUNK):
        right = correct if majority is None else majority
        found.right[trace_hash] = right and found.right.get(trace_hash, True)
        found.position[trace_hash] = position
    return found


def pair_up(a: Evaluation, b: Evaluation) -> Pairing:
    """Lay two evaluations beside each other on the prompts that both hold, with two queries."""
    first, second = verdicts_of(a), verdicts_of(b)
    shared = first.right.keys() & second.right.keys()
    return Pairing(
        counts=paired(first.right, second.right),
        only_a=len(first.right) - len(shared),
        only_b=len(second.right) - len(shared),
        right_a=first.right,
        right_b=second.right,
        order=sorted(shared, key=lambda one: (first.position[one], one)),
    )


def in_full(a: Evaluation, b: Evaluation, pairing: Pairing, hashes: Sequence[str]) -> list[Pair]:
    """Read what both wrote to some prompts, with one query."""
    rows = Sample.objects.filter(evaluation__in=[a, b], trace_hash__in=list(hashes), draw=0)
    held = {(row.evaluation_id, row.trace_hash): row for row in rows.order_by("-position")}
    found = []
    for one in hashes:
        first, second = held.get((a.pk, one)), held.get((b.pk, one))
        if first is None or second is None:
            continue
        sides = (_side(first, pairing.right_a[one]), _side(second, pairing.right_b[one]))
        found.append(Pair(one, first.prompt, first.expected_answer, *sides))
    return found


def _side(sample: Sample, right: bool) -> Side:
    return Side(
        sample, right, step_rows(sample.generated_steps, sample.steps_valid, sample.expected_steps, None)
    )
