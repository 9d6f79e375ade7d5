"""The verdict on every prompt of an evaluation beside the one before, read without any text.

"Before" is the nearest earlier evaluation of the same model on the same dataset content and split
that holds the same prompt, so an evaluation of fewer prompts in between hides none.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from django.db.models import Q

from runs.models import Evaluation, Sample
from runs.samples.line import earlier_evaluations
from runs.samples.prompts import first_texts

# So many evaluations are read one by one; most often the first of them holds all prompts.
NEAREST: Final = 3


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one prompt came out; ``before`` is None where no earlier evaluation holds it."""

    position: int
    trace_hash: str
    correct: bool
    invalid_step: bool
    before: bool | None = None
    before_evaluation: int | None = None

    @property
    def change(self) -> str:
        """What became of it since: became right, became wrong, first seen, or nothing."""
        if self.before is None:
            return "first seen"
        if self.correct == self.before:
            return ""
        return "became right" if self.correct else "became wrong"


@dataclass(frozen=True, slots=True)
class Filter:
    """A choice of prompts by their verdicts."""

    name: str
    label: str
    fits: Callable[[Verdict], bool]


_ALL: Final = (
    Filter("all", "All", lambda _: True),
    Filter("became_right", "Became right", lambda one: one.correct and one.before is False),
    Filter("became_wrong", "Became wrong", lambda one: not one.correct and one.before is True),
    Filter("wrong", "Wrong answer", lambda one: not one.correct),
    Filter("right", "Right answer", lambda one: one.correct),
    Filter(
        "right_invalid_step",
        "Right answer, invalid step",
        lambda one: one.correct and one.invalid_step,
    ),
)
FILTERS: Final[Mapping[str, Filter]] = {one.name: one for one in _ALL}


def read_verdicts(evaluation: Evaluation) -> list[Verdict]:
    """Read the verdict on every prompt of an evaluation, in order, with at most six queries."""
    own = first_texts().filter(evaluation=evaluation)
    rows = sorted(own.order_by().values_list("position", "trace_hash", "right", "flawed"))
    before = _verdicts_before(evaluation, {trace_hash for _, trace_hash, _, _ in rows})
    verdicts = []
    for position, trace_hash, correct, invalid in rows:
        was, where = before.get(trace_hash, (None, None))
        verdicts.append(Verdict(position, trace_hash, correct, invalid, was, where))
    return verdicts


def _verdicts_before(evaluation: Evaluation, wanted: set[str]) -> dict[str, tuple[bool, int]]:
    earlier = earlier_evaluations(evaluation)
    if not earlier:
        return {}
    found: dict[str, tuple[bool, int]] = {}
    looked: list[int] = []
    for pk in earlier[:NEAREST]:
        looked.append(pk)
        rows = first_texts().filter(evaluation=pk).order_by("right").values_list("trace_hash", "right")
        found = {trace_hash: (correct, pk) for trace_hash, correct in rows} | found
        if wanted <= found.keys():
            return found
    # What is left are most often prompts that were never graded before; the database picks them out.
    rest = earlier[NEAREST:]
    if not rest:
        return found
    rank = {pk: at for at, pk in enumerate(rest)}
    hashes = Sample.objects.order_by().values("trace_hash")
    left = (
        first_texts()
        .filter(evaluation__in=rest, trace_hash__in=hashes.filter(evaluation=evaluation))
        .exclude(trace_hash__in=hashes.filter(evaluation__in=looked))
        .order_by()
        .values_list("evaluation_id", "trace_hash", "right")
    )
    for pk, trace_hash, correct in left.iterator(chunk_size=5000):
        held = found.get(trace_hash)
        # Where an evaluation holds a prompt twice, it is right if one of them is: as among the nearest.
        if held is None or (rank[pk], not correct) < (rank[held[1]], not held[0]):
            found[trace_hash] = (correct, pk)
    return found


def search_positions(evaluation: Evaluation, text: str) -> set[int] | None:
    """Find the prompts of an evaluation that hold a text in prompt, generated text or answer.

    None stands for no search. Upper and lower case are the same (on SQLite in English letters alone).
    """
    wanted = text.replace("\x00", "").strip()
    if not wanted:
        return None
    rows = Sample.objects.filter(evaluation=evaluation).filter(
        Q(prompt__icontains=wanted) | Q(generated_text__icontains=wanted) | Q(answer__icontains=wanted)
    )
    return set(rows.order_by().values_list("position", flat=True))


def choose(verdicts: list[Verdict], name: str, found: set[int] | None) -> list[Verdict]:
    """Keep the verdicts that fit a filter and, where there was one, a search."""
    fits = FILTERS[name].fits
    return [one for one in verdicts if fits(one) and (found is None or one.position in found)]


def count_each(verdicts: list[Verdict], found: set[int] | None) -> dict[str, int]:
    """Count what each filter would show of a search."""
    searched = choose(verdicts, "all", found)
    return {name: sum(map(one.fits, searched)) for name, one in FILTERS.items()}
