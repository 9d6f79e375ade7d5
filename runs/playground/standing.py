"""Where a generation stands: what its process said last, as long as that process's run goes on."""

from dataclasses import dataclass
from typing import Final

from django.db.models import Q, QuerySet

from runs.models import Generation, Run
from runs.models.playground import OPEN
from runs.states import ALIVE, Status
from runs.waiting import Scene, waiting_reason

State = Generation.State
GONE: Final = "the process that was to write it is gone; ask again"
# What a state says to people, as badges of runs have it.
BADGES: Final = {
    State.WAITING: "queued",
    State.WRITING: "running",
    State.DONE: "completed",
    State.STOPPED: "stopped",
    State.FAILED: "failed",
}


@dataclass(frozen=True, slots=True)
class Standing:
    """The state of a generation, and why; ``open``: more is to come. ``waiting``: what it waits for."""

    state: Generation.State
    reason: str = ""
    waiting: str = ""

    @property
    def open(self) -> bool:
        """Whether more is to come."""
        return self.state in OPEN

    @property
    def badge(self) -> str:
        """Name of the badge that stands for it."""
        return BADGES[self.state]


def open_generations() -> QuerySet[Generation]:
    """List what waits or is being written, by runs that still go on."""
    return Generation.objects.filter(state__in=OPEN, session__run__status__in=ALIVE)


def standing(row: Generation, *, scene: Scene | None = None) -> Standing:
    """Say where a generation stands; reads its session's run, and what that waits for where it waits."""
    state = State(row.state)
    if state not in OPEN:
        return Standing(state, row.reason)
    run = row.session.run if row.session else None
    if run is None:
        return Standing(State.FAILED, GONE)
    if run.status in ALIVE:
        return Standing(state, waiting=_waits_for(row, run, scene) if state == State.WAITING else "")
    if run.status == Status.STOPPED:
        return Standing(State.STOPPED, run.reason or "its run was stopped")
    why = run.reason or f"its run is {run.status}"
    return Standing(State.FAILED, f"{why} (run {run.pk}); ask again")


def _waits_for(row: Generation, run: Run, scene: Scene | None) -> str:
    if run.status == Status.QUEUED:
        return scene.reason(run) if scene else waiting_reason(run)
    if run.status == Status.STARTING:
        return "its process is starting"
    if run.status == Status.STOPPING:
        return "its process is being stopped"
    ahead = Generation.objects.filter(Q(pk__lt=row.pk), session=row.session_id, state__in=OPEN).count()
    if ahead:
        return f"{ahead} other text{'' if ahead == 1 else 's'} first"
    return "about to begin"
