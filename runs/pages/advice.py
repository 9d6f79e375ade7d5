"""What to do about a run that failed or was lost, by what ended it."""

from dataclasses import dataclass
from typing import Final

from runs.models import Run
from runs.states import Cause, Kind, Status

_BY_CAUSE: Final[dict[str, str]] = {
    Cause.DEVICE_MEMORY: (
        "Fork or clone it with a smaller micro_batch or sequence_length, or with rematerialisation; "
        "and see on the workers' page whether something else fills the device."
    ),
    Cause.HOST_MEMORY: "Free memory of the host, or run fewer things beside it, then resume.",
    Cause.NOT_FINITE: (
        "Fork from a checkpoint before the step where it broke, with a lower learning rate or a longer "
        "warm-up; the charts show where the gradient grew."
    ),
    Cause.REFUSED: "The reason names what did not go together. Change that, or clone with other fields.",
    Cause.EXCEPTION: "Read the error in the log: its last line says what broke, those above it where.",
    Cause.SIGNAL: "Something outside ended its process. Look at the log of the host, then resume.",
    Cause.FORCED: "It was ended by force. Resume goes on from its newest checkpoint.",
    Cause.NO_START: "Its process could not be started: the log and the worker's own log say why.",
    Cause.SUPERVISOR: "See whether its host and worker are up, then resume from the newest checkpoint.",
    Cause.FENCED: "Another attempt had taken over; look at the attempts.",
    Cause.UNKNOWN: "It left no word. Read the end of its log, then resume from the newest checkpoint.",
}
_LOST: Final = (
    "See on the workers' page whether its host is up. If its process is gone for good, resume goes on from "
    "the newest checkpoint."
)
_FAILED: Final = "Read the end of its log, then resume from the newest checkpoint."


@dataclass(frozen=True, slots=True)
class Advice:
    """What ended the newest attempt, and what a person does next."""

    attempt: int
    cause: str
    text: str


def advice_for(run: Run) -> Advice | None:
    """Say what to do next about a failed or lost run; None for any other. One query.

    Nothing can be done here about what another tool carried out elsewhere.
    """
    if run.status not in {Status.FAILED, Status.LOST} or run.kind == Kind.IMPORTED:
        return None
    newest = run.attempts.order_by("-number").first()
    if newest is None:
        return Advice(0, "", "It never started: the reason says why. Change that, then resume.")
    other = _LOST if run.status == Status.LOST else _FAILED
    return Advice(newest.number, newest.get_cause_display(), _BY_CAUSE.get(newest.cause, other))
