"""The child's own line to its run's row: it shows life, hears of stops, and learns when it is not wanted.

With it a training needs no supervisor to go on: one that lost its worker still beats, still stops when
the page says so, and ends itself when its run was given to another attempt. Database errors never reach
the training: the thread tries again, later and later.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db import DatabaseError, Error, close_old_connections, connection

from runs import services
from runs.models import Attempt, Run
from runs.states import Status

log = logging.getLogger(__name__)

BEAT_S = 2.0
SLOWEST_S = 5.0
# What a supervisor gets to end the process by force before the process does it itself.
MARGIN_S = 5.0
STOP_ASKED = "stop requested"


class Lifeline(threading.Thread):
    """Beats for an attempt in a thread of its own.

    ``progress`` gives phase and step; ``ask_stop`` is called with the reason of a stop that the row asks
    for; ``end`` with the word ``fenced`` when another attempt has taken over, or ``forced`` when the
    process has to end without a checkpoint; it does not return.
    """

    def __init__(
        self,
        attempt: Attempt,
        *,
        progress: Callable[[], dict[str, Any]],
        ask_stop: Callable[[str], None],
        end: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(name="lifeline", daemon=True)
        self._attempt, self._progress, self._ask_stop, self._end = attempt, progress, ask_stop, end
        self._clock = clock
        self._stopping_since: float | None = None
        self._over = threading.Event()

    def run(self) -> None:
        """Beat until the process ends; nothing that goes wrong here ends it."""
        wait = BEAT_S
        while not self._over.wait(wait):
            try:
                close_old_connections()
                self.look()
                wait = BEAT_S
            except (DatabaseError, Error) as error:
                log.debug("%s: no heartbeat: %s", self._attempt, error)
                connection.close()
                wait = min(SLOWEST_S, wait * 1.5)
            except Exception:
                log.exception("%s: its lifeline failed, and goes on", self._attempt)
                wait = SLOWEST_S
        connection.close()

    def close(self) -> None:
        """Beat no more: the attempt has said its last word."""
        self._over.set()

    def look(self) -> None:
        """Beat once, and do what the row says."""
        attempt = self._attempt
        status = services.heartbeat(run_id=attempt.run_id, attempt=attempt.number, **self._progress())
        if status is None and not self._over.is_set():
            status = services.revive(attempt)
        if self._over.is_set():
            return
        if status is None:
            self._end("fenced")
        elif status is Status.STOPPING:
            self._stop()

    def _stop(self) -> None:
        now = self._clock()
        if self._stopping_since is None:
            self._stopping_since = now
        if Run.objects.filter(pk=self._attempt.run_id, stop_now=True).exists():
            self._end("forced")
        self._ask_stop(STOP_ASKED)
        if now - self._stopping_since > settings.TUNIX_STOP_GRACE_SECONDS + MARGIN_S:
            self._end("forced")
