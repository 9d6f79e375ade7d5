"""Restarts by itself: a training or evaluation that failed or was lost goes on, as its config allows.

Never after the same error at the same step twice: that would come a third time.
"""

import datetime as dt

from django.utils import timezone

from runs.models import Attempt, Checkpoint, Run
from runs.services import audit, enqueue_run
from runs.states import RESUMABLE, Status

FIRST_WAIT = dt.timedelta(seconds=10)
LONGEST_WAIT = dt.timedelta(minutes=5)
_ENDED = {Status.FAILED: "failed", Status.LOST: "was lost"}


def back_off(restarts: int) -> dt.timedelta:
    """Give the wait before the next restart, after so many: twice as long each time, up to five minutes."""
    return min(LONGEST_WAIT, FIRST_WAIT * float(2 ** min(restarts, 16)))


def restart_if_allowed(attempt: Attempt) -> bool:
    """Queue the run again after this attempt, if its config says so; tell whether it did.

    Call it in the transaction that ended the attempt, so that both or neither is kept.
    """
    run = Run.objects.get(pk=attempt.run_id)
    limit = int(run.config.get("max_restarts", 0))
    failed = run.status in _ENDED and run.attempt == attempt.number
    if not (limit and failed and run.kind in RESUMABLE and run.stop_requested_at is None):
        return False
    why_not = ""
    if repeats_itself(attempt):
        why_not = "not restarted: the same error at the same step twice"
    elif run.restarts >= limit:
        why_not = f"not restarted: it was {run.restarts} times already (max_restarts)"
    if why_not:
        Run.objects.filter(pk=run.pk, attempt=run.attempt).update(reason=f"{run.reason}; {why_not}")
        audit(run, "not_restarted", attempt=run.attempt, reason=why_not)
        return False
    number = run.restarts + 1
    _keep_what_was_asked(run, attempt)
    enqueue_run(
        run,
        # What a command supervises stays with that command.
        deliver=attempt.outlives_supervisor,
        reason=f"restart {number} of {limit}, for it {_ENDED[Status(run.status)]}: {run.reason}",
        restarts=number,
        not_before=timezone.now() + back_off(run.restarts),
    )
    return True


def _keep_what_was_asked(run: Run, attempt: Attempt) -> None:
    """Let the next attempt start as this one was asked to, where this one left no checkpoint."""
    if Checkpoint.objects.filter(run=run, attempt=attempt.number).exists():
        return
    if run.resume_attempt == attempt.number:
        run.resume_attempt += 1
    if run.params.get("allow_inexact") == attempt.number:
        run.params["allow_inexact"] = attempt.number + 1
    run.save(update_fields=["resume_attempt", "params"])


def repeats_itself(attempt: Attempt) -> bool:
    """Tell whether the attempt before this one failed with the same error at the same step."""
    if not attempt.failure:
        return False
    before = Attempt.objects.filter(run_id=attempt.run_id, number=attempt.number - 1).first()
    return before is not None and (before.failure, _last_step(before)) == (
        attempt.failure,
        _last_step(attempt),
    )


def _last_step(attempt: Attempt) -> int:
    return attempt.end_step if attempt.end_step is not None else attempt.start_step
