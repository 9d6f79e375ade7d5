"""Watching something stand still, by this process's own monotonic clock."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

# A longer pause between two looks means that this process saw nothing for a while.
LONGEST_PAUSE_S = 15.0


@dataclass
class Watch:
    """How long this process has seen something stand still, by its own monotonic clock."""

    clock: Callable[[], float] = time.monotonic
    _seen: dict[object, tuple[object, float]] = field(default_factory=dict)
    _last_look: float | None = None

    def begin_look(self) -> None:
        """Begin a round; after a long pause everything is new, for nobody watched."""
        now = self.clock()
        if self._last_look is not None and now - self._last_look > LONGEST_PAUSE_S:
            self.forget()
        self._last_look = now

    def forget(self) -> None:
        """Begin anew: nothing was seen for a while."""
        self._seen.clear()

    def still_for(self, key: object, value: object = None) -> float:
        """Give the seconds since ``key`` was first seen with this value."""
        before, since = self._seen.get(key, (None, 0.0))
        if key not in self._seen or before != value:
            self._seen[key] = (value, self.clock())
            return 0.0
        return self.clock() - since
