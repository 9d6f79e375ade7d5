"""What happens between updates: checkpoints, evaluations, house-keeping.

The loop calls each callback after every update, in order. One that needs the finished
state waits for it itself, so that an update which nothing follows is never waited for.
"""

import gc
from pathlib import Path
from typing import Final, Protocol

import jax

from training.errors import TrainingError
from training.session import Session
from training.trace_places import places_in
from training.traces import write_summary

# Python's garbage collector walks everything that JAX has built; after the first updates that
# is all long-lived, and freezing it takes pauses of up to half a second out of long loops.
_FREEZE_AFTER: Final = 3


class Callback(Protocol):
    """Something that the loop does after an update."""

    def after_update(self, session: Session) -> None:
        """Act on the session, whose ``step`` was just started."""


class SaveCheckpoints:
    """Saves every so many updates, after the last, and where a full disk has room again."""

    def after_update(self, session: Session) -> None:
        """Begin to save when due."""
        if session.due(session.config.save_every_steps) or session.saver.may_resume():
            session.save()


class Evaluate:
    """Evaluates every so many updates, after the last, and before the first where that is asked for."""

    def after_update(self, session: Session) -> None:
        """Evaluate when due; also right after a resume, when the evaluation was cut off there."""
        config = session.config
        if session.due(config.eval_every_steps) if session.step else config.evaluate_first:
            session.evaluate()


class Profile:
    """Writes a trace of the updates of a window, and its longest operations beside it, once.

    Meanwhile nothing else is at work: the updates before are waited for, and those within.
    """

    def __init__(self, first: int, last: int, folder: Path) -> None:
        """Profile the updates from ``first`` to ``last``, both included and counted from 1."""
        self._first, self._last, self._folder = first, last, folder
        self._running = False

    def after_update(self, session: Session) -> None:
        """Begin after the update before the window, and end after its last."""
        if session.step == self._first - 1 and not self._running:
            self._begin(session)
        elif self._running and (session.step >= self._last or session.finished):
            session.meter.flush()
            self.close()
            self._tell(session)

    def before_first(self, session: Session) -> None:
        """Begin where the window begins with the first update of this start, or was gone through before."""
        if session.step >= self._first:
            session.recorder.log(f"No profile: updates {self._first} to {self._last} are done already.")
        elif session.step == self._first - 1:
            self._begin(session)

    def close(self) -> None:
        """End a trace that is under way, as when the training is stopped within its window."""
        if self._running:
            self._running = False
            jax.profiler.stop_trace()

    def _begin(self, session: Session) -> None:
        session.meter.flush()
        self._folder.mkdir(parents=True, exist_ok=True)
        jax.profiler.start_trace(str(self._folder))
        self._running = True
        session.meter.start()

    def _tell(self, session: Session) -> None:
        try:
            summary = write_summary(self._folder, places_in(session.program()))
        except TrainingError as error:
            # What was profiled is still there to be opened by other tools.
            session.recorder.log(f"Warning: {error}")
        else:
            longest = summary.places[0].name if summary.places else "none"
            session.recorder.log(
                f"Profile of updates {self._first} to {session.step} written to {self._folder}; "
                f"most time went into: {longest}."
            )
        session.meter.start()


class FreezeGarbage:
    """Takes what the first updates have built out of the garbage collector's sight, once."""

    def __init__(self) -> None:
        self._updates = 0

    def after_update(self, session: Session) -> None:
        """Freeze after the first few updates."""
        self._updates += 1
        if self._updates == _FREEZE_AFTER:
            gc.freeze()
