"""What happens between updates: checkpoints, evaluations, house-keeping.

The loop calls each callback after every update, in order. One that needs the finished
state waits for it itself, so that an update which nothing follows is never waited for.
"""

import gc
from typing import Final, Protocol

from training.session import Session

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
    """Evaluates every so many updates, and after the last."""

    def after_update(self, session: Session) -> None:
        """Evaluate when due; also right after a resume, when the evaluation was cut off there."""
        if session.due(session.config.eval_every_steps):
            session.evaluate()


class FreezeGarbage:
    """Takes what the first updates have built out of the garbage collector's sight, once."""

    def __init__(self) -> None:
        self._updates = 0

    def after_update(self, session: Session) -> None:
        """Freeze after the first few updates."""
        self._updates += 1
        if self._updates == _FREEZE_AFTER:
            gc.freeze()
