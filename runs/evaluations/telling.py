"""Which evaluation speaks for a run: like is ranked with like, by how texts were drawn and who graded."""

from collections.abc import Sequence
from typing import Any

from runs.models import Evaluation, Run


class Telling:
    """How much each of a run's evaluations says about it.

    ``rank`` is larger for those after an update, for step 0 is what the run began with; then for those on
    held-out traces of the run's own dataset, then for those with the likeliest text to each prompt, then for
    those by the grader of the run's own evaluations. Among equals the caller decides: figures of different
    graders or decodings cannot be ranked by size.
    """

    def __init__(self, run: Run, rows: Sequence[Evaluation]) -> None:
        self._run = run
        self._usual = _usual_grader(run, rows)

    def rank(self, row: Evaluation) -> tuple[bool, bool, bool, bool]:
        """Rank an evaluation."""
        own_data = row.dataset_id == self._run.dataset_id and row.split == "test"
        return (row.step > 0, own_data, is_plain(row), _grader(row) == self._usual)


def headline(run: Run, rows: Sequence[Evaluation]) -> Evaluation | None:
    """Choose the evaluation that says most about a run: of the best rank the largest at the newest step."""
    telling = Telling(run, rows)

    def key(row: Evaluation) -> tuple[Any, ...]:
        return (*telling.rank(row), row.step, row.n, row.pk)

    return max(rows, key=key, default=None)


def is_plain(row: Evaluation) -> bool:
    """Whether each prompt got one text, the likeliest; so it was before decoding was recorded, too."""
    return row.draws == 1 and not row.decoding.get("temperature")


def _usual_grader(run: Run, rows: Sequence[Evaluation]) -> tuple[str, int]:
    """Name the grader of the run's own evaluations, the final one first; without any, that of the first."""
    own = [row for row in rows if row.made_by_id == run.pk]
    if own:
        return _grader(max(own, key=lambda row: (row.final, row.step, row.pk)))
    return _grader(min(rows, key=lambda row: row.pk)) if rows else ("", 0)


def _grader(row: Evaluation) -> tuple[str, int]:
    return (row.grader, row.grader_version)
