"""Bring an attempt to its end: store what it left, decide how it ended, free its device, restart or not.

The same for whoever finds the end: its supervisor, the reaper, or its own process where nobody
supervises it any more.
"""

import contextlib
from pathlib import Path

from django.db import transaction

from runs import services
from runs.endings import Circumstances, Ending, decide
from runs.exit_record import read_exit_record
from runs.ingest import FencedOutError, ingest_attempt
from runs.journal import LOG_NAME, storable
from runs.models import Attempt
from runs.restarting import restart_if_allowed
from runs.states import Cause, Status

LOG_TAIL_LINES = 20
LOG_TAIL_BYTES = 64 << 10


def finish(attempt: Attempt, seen: Circumstances) -> Status:
    """End an attempt as its journal, its exit record and these circumstances tell.

    Returns:
        How the attempt ended: `Status.LOST` where another one had taken over.

    Raises:
        DatabaseError: while the database is away; nothing is changed then, and it can be tried again.
    """
    attempt.refresh_from_db()
    with contextlib.suppress(FencedOutError):
        ingest_attempt(attempt)
    directory = attempt.run.attempt_directory(attempt.number)
    tail = log_tail(directory)
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
        )
        if held:
            restart_if_allowed(attempt)
    return Status(attempt.status)


def log_tail(directory: Path) -> str:
    """Give the last lines of an attempt's log, as any database can store them."""
    try:
        with (directory / LOG_NAME).open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - LOG_TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return storable("\n".join(text.splitlines()[-LOG_TAIL_LINES:]))
