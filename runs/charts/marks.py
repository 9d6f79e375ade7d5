"""What happened along a run that its curves should show: checkpoints, resumes, evaluations."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from runs.models import Attempt, Run
from runs.selectors import all_checkpoints, run_evaluations

MAX_MARKS = 1000


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened at a step and a moment (Unix seconds), in a few words."""

    step: int
    time: float
    text: str


@dataclass(frozen=True, slots=True)
class Marks:
    """The newest `MAX_MARKS` of each kind by step; ``left_out`` counts the older ones."""

    started_at: float | None
    checkpoints: list[Mark]
    resumes: list[Mark]
    evaluations: list[Mark]
    left_out: int


def read_marks(run: Run) -> Marks:
    """Read what no later attempt has overtaken; ``started_at`` is the start of the first attempt."""
    attempts = list(run.attempts.order_by("number"))
    rows = all_checkpoints(run=run).filter(superseded=False)
    checkpoints, more_checkpoints = _newest(
        Mark(
            row.step,
            row.created_at.timestamp(),
            f"checkpoint{'' if row.removed_at is None else ', its files are gone'}",
        )
        for row in rows
    )
    graded = run_evaluations(run=run).order_by("-step", "-id")
    evaluations, more_evaluations = _newest(
        Mark(
            row.step,
            row.created_at.timestamp(),
            f"evaluation: {row.answer_accuracy:.1%} of {row.n} answers right ({row.split})",
        )
        for row in graded
    )
    resumes, more_resumes = _newest(
        Mark(row.start_step, row.started_at.timestamp(), _start_in_words(row))
        for row in reversed(attempts)
        if _is_resume(row)
    )
    return Marks(
        started_at=attempts[0].started_at.timestamp() if attempts else None,
        checkpoints=checkpoints,
        resumes=resumes,
        evaluations=evaluations,
        left_out=more_checkpoints + more_evaluations + more_resumes,
    )


def _newest(marks: Iterable[Mark]) -> tuple[list[Mark], int]:
    """Take the first marks, put them into the order of steps, and count the rest."""
    rest = iter(marks)
    taken = sorted(islice(rest, MAX_MARKS), key=lambda mark: mark.step)
    return taken, sum(1 for _ in rest)


def _is_resume(attempt: Attempt) -> bool:
    """Tell whether an attempt took up work: one that never came to a step has nothing to mark."""
    return attempt.start_step > 0 or (attempt.number > 1 and attempt.end_step is not None)


def _start_in_words(attempt: Attempt) -> str:
    if attempt.start_step == 0:
        return f"attempt {attempt.number} started again"
    exactly = ", not an exact continuation" if attempt.inexact else ""
    return f"attempt {attempt.number} goes on from here{exactly}"
