"""Whether an evaluation came out as an earlier one of the same checkpoint, data, settings and grader did."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from runs.models import Evaluation, Sample

# What must be the same for two results to have to be the same.
SAME = (
    "run",
    "step",
    "checkpoint",
    "dataset",
    "split",
    "n",
    "draws",
    "subset_seed",
    "grader",
    "grader_version",
)
LOOKED_AT = 20
# Texts of each that are in memory at a time.
CHUNK: Final = 1000


@dataclass(frozen=True, slots=True)
class Repeat:
    """An evaluation beside an earlier one that it should equal; ``differs`` names what does not."""

    earlier: Evaluation
    identical: bool
    differs: list[str] = field(default_factory=list)

    @property
    def words(self) -> str:
        """Say it."""
        if self.identical:
            return f"identical to evaluation {self.earlier.pk}"
        return f"differs from evaluation {self.earlier.pk}: {'; '.join(self.differs)}"


def repeats(row: Evaluation) -> Repeat | None:
    """Compare an evaluation with the newest earlier one that graded the very same; None without one.

    Equal means equal hashes over all texts and verdicts. One that is equal goes before a newer one that
    is not.
    """
    if not row.results_hash:
        return None
    same = {name: getattr(row, f"{name}_id", None) or getattr(row, name) for name in SAME}
    rows = Evaluation.objects.filter(pk__lt=row.pk, superseded=False, **same).exclude(results_hash="")
    # As text, JSON compares alike on every database only in Python.
    earlier = [one for one in rows.order_by("-pk")[:LOOKED_AT] if one.decoding == row.decoding]
    if not earlier:
        return None
    equal = next((one for one in earlier if one.results_hash == row.results_hash), None)
    if equal is not None:
        return Repeat(equal, identical=True)
    return Repeat(earlier[0], identical=False, differs=_differences(row, earlier[0]))


def _differences(row: Evaluation, other: Evaluation) -> list[str]:
    """Name what differs: the texts, the verdicts, and where the two were made."""
    seen = _compare_texts(row, other)
    found = []
    if seen.unshared:
        found.append("they hold other prompts")
    if seen.texts:
        found.append(f"{seen.texts} of {seen.shared} texts, the first at prompt {seen.first_text + 1}")
    if seen.verdicts:
        found.append(f"{seen.verdicts} verdicts, the first at prompt {seen.first_verdict + 1}")
    mine_at, theirs_at = _place(row), _place(other)
    found += [
        f"{name} {theirs_at[name]} → {mine_at[name]}" for name in mine_at if mine_at[name] != theirs_at[name]
    ]
    return found or ["what was recorded of a text besides its words and verdicts"]


@dataclass(slots=True)
class _Seen:
    """What differs between the texts of two evaluations, with the position of the first."""

    shared: int = 0
    unshared: int = 0
    texts: int = 0
    first_text: int = 0
    verdicts: int = 0
    first_verdict: int = 0


def _compare_texts(row: Evaluation, other: Evaluation) -> _Seen:
    """Go through the texts of both in order, holding few of them at a time."""
    seen = _Seen()
    mine, theirs = _texts(row), _texts(other)
    one, two = next(mine, None), next(theirs, None)
    while one is not None or two is not None:
        if one is None or (two is not None and two[:2] < one[:2]):
            seen.unshared += 1
            two = next(theirs, None)
            continue
        if two is None or one[:2] < two[:2]:
            seen.unshared += 1
            one = next(mine, None)
            continue
        seen.shared += 1
        if one[2] != two[2]:
            seen.first_text = seen.first_text if seen.texts else one[0]
            seen.texts += 1
        if one[3:] != two[3:]:
            seen.first_verdict = seen.first_verdict if seen.verdicts else one[0]
            seen.verdicts += 1
        one, two = next(mine, None), next(theirs, None)
    return seen


def _texts(row: Evaluation) -> Iterator[tuple[Any, ...]]:
    rows = Sample.objects.filter(evaluation=row).order_by("position", "draw")
    light = rows.values_list("position", "draw", "generated_text", "correct", "steps_valid")
    return light.iterator(chunk_size=CHUNK)


def _place(row: Evaluation) -> dict[str, str]:
    run = row.made_by
    packages = run.provenance.get("packages") or {}
    return {
        "device": run.device_name or run.device_kind,
        "jax": str(packages.get("jax", "")) if isinstance(packages, dict) else "",
        "code": str(run.provenance.get("training_code", "")),
        "batch": str(run.config.get("eval_batch_size", "")),
    }
