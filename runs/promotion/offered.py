"""The checkpoints of a run that a form lets people choose: names, steps, and the one that was given."""

from collections.abc import Sequence
from dataclasses import dataclass

from runs.models import Alias, Checkpoint, Run

LONGEST_SHOWN = 60
MOST_DIGITS = 10


@dataclass(frozen=True, slots=True)
class Offered:
    """A checkpoint to choose; ``there`` is False for one that was given and is no more."""

    value: str
    label: str
    there: bool = True


def offered(run: Run, steps: Sequence[int], given: str) -> list[Offered]:
    """List what can be chosen besides ``latest`` and ``best``: the run's aliases and the steps.

    What was given comes first where it is none of them, so that a form never asks for something else
    unseen; it is refused in words when it is asked for. At most two queries.
    """
    live = Alias.objects.filter(
        checkpoint__run=run, checkpoint__superseded=False, checkpoint__removed_at=None
    )
    names = list(live.select_related("checkpoint").order_by("name", "scope"))
    choices = [Offered(str(row), f"{row} (step {row.checkpoint.step})") for row in names if row.checkpoint]
    choices += [Offered(str(step), f"step {step}") for step in steps]
    if given in {"", "latest", "best", *(one.value for one in choices)}:
        return choices
    if given in {row.name for row in names}:
        return [Offered(given, given), *choices]
    return [_given(run, given), *choices]


def _given(run: Run, given: str) -> Offered:
    if not (given.isascii() and given.isdecimal() and len(given) < MOST_DIGITS):
        return Offered(given, f"{given[:LONGEST_SHOWN]} (names no checkpoint here)", there=False)
    live = Checkpoint.objects.filter(run=run, step=int(given), superseded=False, removed_at=None).first()
    if live is not None and live.on_disk:
        return Offered(given, f"step {given}")
    return Offered(given, f"step {given} (no longer on disk)", there=False)
