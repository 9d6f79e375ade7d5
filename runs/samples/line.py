"""The evaluations that one can be followed through: the same model on the same data and split."""

from dataclasses import dataclass

from runs.models import Evaluation, Run
from runs.selectors import headline_evaluation, run_evaluations

MAX_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Line:
    """Evaluations of one model, dataset content and split in the order of their steps.

    ``chosen`` is the one that a page is about; ``shown`` at most `MAX_SHOWN` of them around it.
    """

    chosen: Evaluation
    evaluations: list[Evaluation]
    others: list[Evaluation]
    overtaken: int

    @property
    def index(self) -> int:
        """Where the chosen one stands."""
        return next(at for at, row in enumerate(self.evaluations) if row.pk == self.chosen.pk)

    @property
    def shown(self) -> list[Evaluation]:
        """The evaluations nearest to the chosen one, as many as a page has columns for."""
        start = max(0, min(self.index - MAX_SHOWN * 3 // 4, len(self.evaluations) - MAX_SHOWN))
        return self.evaluations[start : start + MAX_SHOWN]

    @property
    def previous(self) -> Evaluation | None:
        """The one before."""
        return self.evaluations[self.index - 1] if self.index else None

    @property
    def following(self) -> Evaluation | None:
        """The one after."""
        at = self.index + 1
        return self.evaluations[at] if at < len(self.evaluations) else None


def find_line(*, run: Run, evaluation: int | None = None, overtaken: bool = False) -> Line | None:
    """Gather the evaluations of a run around one of them; None where it has none.

    The chosen one is ``evaluation`` where the run has it, else the one that says most about the run.
    Overtaken ones are there where asked for, and where the chosen one is overtaken itself.
    """
    rows = list(run_evaluations(run=run, superseded=True))
    chosen = next((row for row in rows if row.pk == evaluation), None)
    if chosen is None:
        chosen = headline_evaluation(run=run) or (rows[-1] if overtaken and rows else None)
    if chosen is None:
        return None
    chosen = next(row for row in rows if row.pk == chosen.pk)
    visible = [row for row in rows if overtaken or not row.superseded or row.pk == chosen.pk]
    return Line(
        chosen=chosen,
        evaluations=[row for row in visible if _same_data(row, chosen)],
        others=[row for row in visible if not _same_data(row, chosen)],
        overtaken=sum(row.superseded for row in rows),
    )


def earlier_evaluations(chosen: Evaluation) -> list[int]:
    """Number the evaluations that came before one on the same data and split, the nearest first.

    One that a resume has overtaken counts only before those of its own attempt.
    """
    rows = Evaluation.objects.filter(
        run=chosen.run_id, dataset=chosen.dataset_id, split=chosen.split, step__lte=chosen.step
    ).order_by("-step", "-id")
    return [
        row.pk
        for row in rows.only("step", "superseded", "made_by_id", "attempt")
        if (row.step, row.pk) < (chosen.step, chosen.pk) and _counts(row, chosen)
    ]


def _counts(row: Evaluation, chosen: Evaluation) -> bool:
    if row.made_by_id == chosen.made_by_id and row.attempt > chosen.attempt:
        return False
    same_attempt = (row.made_by_id, row.attempt) == (chosen.made_by_id, chosen.attempt)
    return not row.superseded or (chosen.superseded and same_attempt)


def _same_data(row: Evaluation, other: Evaluation) -> bool:
    return (row.dataset_id, row.split) == (other.dataset_id, other.split)
