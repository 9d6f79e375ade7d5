"""Whether an evaluation came out as an earlier one of the same checkpoint, data, settings and grader did."""

from dataclasses import dataclass, field

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
    mine, theirs = (
        {
            (position, draw): (text, correct, steps)
            for position, draw, text, correct, steps in Sample.objects.filter(evaluation=one)
            .order_by()
            .values_list("position", "draw", "generated_text", "correct", "steps_valid")
        }
        for one in (row, other)
    )
    shared = sorted(mine.keys() & theirs.keys())
    texts = [key for key in shared if mine[key][0] != theirs[key][0]]
    verdicts = [key for key in shared if mine[key][1:] != theirs[key][1:]]
    found = []
    if mine.keys() != theirs.keys():
        found.append("they hold other prompts")
    if texts:
        found.append(f"{len(texts)} of {len(shared)} texts, the first at prompt {texts[0][0] + 1}")
    if verdicts:
        found.append(f"{len(verdicts)} verdicts, the first at prompt {verdicts[0][0] + 1}")
    mine_at, theirs_at = _place(row), _place(other)
    found += [
        f"{name} {theirs_at[name]} → {mine_at[name]}" for name in mine_at if mine_at[name] != theirs_at[name]
    ]
    return found or ["what was recorded of a text besides its words and verdicts"]


def _place(row: Evaluation) -> dict[str, str]:
    run = row.made_by
    packages = run.provenance.get("packages") or {}
    return {
        "device": run.device_name or run.device_kind,
        "jax": str(packages.get("jax", "")) if isinstance(packages, dict) else "",
        "code": str(run.provenance.get("training_code", "")),
        "batch": str(run.config.get("eval_batch_size", "")),
    }
