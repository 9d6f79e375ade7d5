"""The head of a run's page: where it stands, how far it is, when it ends, and what to do about a failure."""

from dataclasses import dataclass

from runs.models import Run
from runs.pages.advice import Advice, advice_for
from runs.states import SUPERVISED, Status
from runs.waiting import in_words

TAIL_LINES = 12


@dataclass(frozen=True, slots=True)
class Head:
    """What a person looks at first.

    ``step_seconds`` is the pace of late and ``left`` the words about the end, empty where nobody can tell;
    ``tail`` are the last lines of a failed attempt's log; ``advice`` says what to do about the failure.
    """

    step_seconds: float | None
    left: str
    tail: str
    tail_lines: int
    advice: Advice | None


def head_of(run: Run) -> Head:
    """Gather the head of a run's page: no points are read."""
    pace = run.step_seconds if run.status in SUPERVISED and run.total_steps else None
    lines = run.error.rstrip().splitlines()
    return Head(
        step_seconds=pace,
        left=_left(run, pace),
        tail="\n".join(lines[-TAIL_LINES:]),
        tail_lines=min(len(lines), TAIL_LINES),
        advice=advice_for(run),
    )


def pace_in_words(seconds: float) -> str:
    """Say how long one step takes, with three significant digits."""
    for factor, unit in ((1e6, "µs"), (1e3, "ms")):
        # Below what three digits would round up to a thousand.
        if seconds * factor < 999.5:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds:.3g} s" if seconds < 99.95 else f"{seconds:.0f} s"


def _left(run: Run, pace: float | None) -> str:
    if run.status not in SUPERVISED or not run.total_steps:
        return ""
    if run.status == Status.STOPPING:
        return "stopping, so it will not go on to the end"
    if pace is None and run.step:
        return "time left unknown"
    if pace is None:
        return f"time left unknown before its first {run.step_unit}s"
    left = max(0, run.total_steps - run.step) * pace
    return f"{in_words(left)} at {pace_in_words(pace)} a {run.step_unit}"
