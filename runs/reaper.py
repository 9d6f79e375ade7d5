"""Find runs whose supervisor is gone, store what they left, and mark them lost.

On the same host the processes themselves tell; of another host only the heartbeat does. A
child that outlived its supervisor stops by itself with a checkpoint; until it is gone, the run
and its device stay taken.
"""

import contextlib
import datetime as dt
import logging
import os
import signal

from django.utils import timezone
from django_q.models import OrmQ

from runs import services
from runs.ingest import FencedOutError, ingest_attempt
from runs.models import Attempt, Run, Worker
from runs.processes import hostname, is_alive
from runs.selectors import live_workers
from runs.states import SUPERVISED, Status

log = logging.getLogger(__name__)

SILENT_ELSEWHERE = dt.timedelta(seconds=45)
ORPHAN_GRACE = dt.timedelta(seconds=120)


def reap(*, now: dt.datetime | None = None) -> list[Run]:
    """Mark every run lost that nobody supervises any more. Returns those runs."""
    moment = now or timezone.now()
    lost = []
    attempts = Attempt.objects.select_related("run").filter(finished_at=None, run__status__in=SUPERVISED)
    for attempt in attempts:
        if attempt.number != attempt.run.attempt:
            continue
        reason = _why_lost(attempt, moment)
        if reason and _end(attempt, reason):
            attempt.run.refresh_from_db()
            lost.append(attempt.run)
    return lost


def _why_lost(attempt: Attempt, now: dt.datetime) -> str:
    """Say why nobody supervises this attempt, or nothing where somebody does."""
    beat = attempt.run.heartbeat_at or attempt.started_at
    silence = now - beat
    if attempt.host != hostname():
        seconds = silence.total_seconds()
        return f"no heartbeat from {attempt.host} for {seconds:.0f} s" if silence > SILENT_ELSEWHERE else ""
    if is_alive(attempt.supervisor_pid, attempt.supervisor_started):
        return ""
    if is_alive(attempt.child_pid, attempt.child_started):
        if silence < ORPHAN_GRACE:
            return ""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(int(attempt.child_pid or 0), signal.SIGKILL)
    return "its supervisor died"


def _end(attempt: Attempt, reason: str) -> bool:
    """Store what the attempt left and end it. True when its run is lost."""
    with contextlib.suppress(FencedOutError):
        ingest_attempt(attempt)
    word = attempt.last_word
    if word.get("status") in {Status.COMPLETED, Status.FAILED}:
        # The work was over before anybody missed the supervisor.
        services.finish_attempt(attempt=attempt, status=Status(word["status"]), reason=word.get("reason", ""))
        return False
    ended = services.finish_attempt(attempt=attempt, status=Status.LOST, reason=reason)
    if ended:
        log.warning("%s is lost: %s", attempt, reason)
    return ended


def release_deliveries(*, queue: str) -> int:
    """Give back the tasks that a dead worker had fetched, so that a live one gets them at once.

    The queue itself would wait for its retry time, which lies beyond any run. Harmless for
    tasks that did run: a second delivery finds nothing to claim.
    """
    if live_workers().exists():
        return 0
    return int(OrmQ.objects.filter(key=queue, lock__gt=timezone.now()).update(lock=timezone.now()))


def forget_old_workers() -> None:
    """Delete the heartbeat rows of workers that stopped long ago."""
    Worker.objects.filter(beat_at__lt=timezone.now() - dt.timedelta(days=1)).delete()
