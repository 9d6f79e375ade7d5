"""The verdicts of several evaluations on their prompts, read once, without any text, from an index."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from runs.models import Evaluation
from runs.samples.prompts import first_texts

CHUNK = 5000


@dataclass(slots=True)
class Grades:
    """Verdicts and places of one evaluation by prompt; one that stands there twice must be right twice.

    Of several texts a prompt it is the verdict on their majority, see `runs.samples.prompts`.
    """

    right: dict[str, bool] = field(default_factory=dict)
    position: dict[str, int] = field(default_factory=dict)


def read_grades(evaluations: Sequence[Evaluation]) -> dict[int, Grades]:
    """Read the verdicts of evaluations with one query."""
    found = {row.pk: Grades() for row in evaluations}
    rows = first_texts().filter(evaluation__in=list(found)).order_by()
    light = rows.values_list("evaluation_id", "trace_hash", "right", "position")
    for pk, trace_hash, correct, position in light.iterator(chunk_size=CHUNK):
        grades = found[pk]
        if trace_hash in grades.right:
            correct = correct and grades.right[trace_hash]  # noqa: PLW2901
            position = min(position, grades.position[trace_hash])  # noqa: PLW2901
        grades.right[trace_hash] = correct
        grades.position[trace_hash] = position
    return found
