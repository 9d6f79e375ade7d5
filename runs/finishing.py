"""Bring an attempt to its end: store what it left, decide how it ended, free its device, restart or not.

The same for whoever finds the end: its supervisor, the reaper, or its own process where nobody
supervises it any more.
"""

from django.db import transaction

from runs import services
from runs.endings import Circumstances, Ending, decide
from runs.exit_record import read_exit_record
from runs.ingest import FencedOutError, ingest_rest
from runs.journal import storable
from runs.logs import log_tail
from runs.models import Attempt
from runs.restarting import restart_if_allowed
from runs.states import Cause, Status

LOG_TAIL_LINES = 20


def finish(attempt: Attempt, seen: Circumstances, *, bare: bool = False) -> Status:
    """End an attempt as its journal, its exit record and these circumstances tell.

    ``bare``: without its journal and log, where those cannot be read.

    Returns:
        How the attempt ended: `Status.LOST` where another one had taken over.

    Raises:
        DatabaseError: while the database is away; nothing is changed then, and it can be tried again.
    """
    attempt.refresh_from_db()
    if not bare:
        try:
            ingest_rest(attempt)
        except FencedOutError:
            # Another attempt has taken over; what this one recorded is kept all the same, as overtaken.
            ingest_rest(attempt, overtaken=True)
    directory = attempt.run.attempt_directory(attempt.number)
    tail = "" if bare else storable(log_tail(directory, lines=LOG_TAIL_LINES))
    ending = decide(word=attempt.last_word, record=read_exit_record(directory), log_tail=tail, seen=seen)
    if seen.gone and ending.cause == Cause.SUPERVISOR:
        # It stopped by itself because nobody supervised it: nobody asked for that.
        ending = Ending(Status.LOST, Cause.SUPERVISOR, seen.gone, exit_code=ending.exit_code)
    with transaction.atomic():
        held = services.finish_attempt(
            attempt=attempt,
            status=ending.status,
            reason=ending.reason,
            error=tail if ending.status is Status.FAILED else "",
            cause=ending.cause,
            failure=ending.failure,
            exit_code=ending.exit_code,
            # Who was called lost and comes to an end of its own all the same: that end counts.
            late=True,
        )
        if held:
            restart_if_allowed(attempt)
    return Status(attempt.status)
