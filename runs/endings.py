"""How an attempt ended: its own last word first, then its exit record, then what the system tells."""

import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from runs.exit_record import EXIT_FENCED, EXIT_FORCED
from runs.states import ENDED, Cause, Status

_MEMORY = re.compile(
    r"MemoryError|std::bad_alloc|RESOURCE_EXHAUSTED|[Cc]annot allocate memory|[Oo]ut of memory"
)
_BY_STATUS = {
    Status.COMPLETED: Cause.COMPLETED,
    Status.STOPPED: Cause.STOPPED,
    Status.FAILED: Cause.EXCEPTION,
    Status.LOST: Cause.SUPERVISOR,
}


@dataclass(frozen=True, slots=True)
class Ending:
    """State, cause and reason of an attempt's end.

    ``failure`` is equal for two failures of the same kind; empty where a repeat says nothing.
    """

    status: Status
    cause: Cause
    reason: str
    failure: str = ""
    exit_code: int | None = None


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a supervisor knows of the end of a process.

    ``exit_code`` is negative for a signal and None where it cannot be known. ``trouble`` says what else
    went wrong; ``gone`` that nobody supervised it, and why.
    """

    exit_code: int | None = None
    stop_sent: bool = False
    killed: bool = False
    stop_now: bool = False
    adopted: bool = False
    out_of_memory: bool = False
    trouble: str = ""
    gone: str = ""


def decide(
    *, word: Mapping[str, Any], record: Mapping[str, Any], log_tail: str, seen: Circumstances
) -> Ending:
    """Tell how an attempt ended.

    ``word`` is the journal's last event, ``record`` the exit record; each empty where there is none.
    """
    code = seen.exit_code if seen.exit_code is not None else record.get("exit_code")
    for said in (word, record):
        # It stands on the disk and nothing came after it, however the process then ended.
        if said.get("status") in ENDED:
            return _as_said(said, code)
    if seen.gone:
        return Ending(Status.LOST, Cause.SUPERVISOR, seen.gone, exit_code=code)
    if seen.trouble:
        return Ending(Status.FAILED, Cause.NO_START, seen.trouble, exit_code=code)
    if code == EXIT_FORCED:
        reason = "a second signal ended it at once; its newest checkpoint is what it has"
        return Ending(Status.STOPPED, Cause.FORCED, reason, exit_code=code)
    if code == EXIT_FENCED:
        return Ending(Status.LOST, Cause.FENCED, "its run was given to another attempt", exit_code=code)
    if seen.stop_sent and (code is None or code < 0):
        return _stopped(seen, code)
    if code is None:
        return Ending(
            Status.FAILED,
            Cause.UNKNOWN,
            "unknown, adopted: its process ended without a word or an exit record",
        )
    return _by_signal(seen, -code, log_tail) if code < 0 else _by_code(code, log_tail)


def _as_said(said: Mapping[str, Any], code: int | None) -> Ending:
    status = Status(said["status"])
    cause = said.get("cause")
    return Ending(
        status,
        Cause(cause) if cause in Cause.values else _BY_STATUS[status],
        said.get("reason", ""),
        failure=said.get("failure", ""),
        exit_code=code,
    )


def _stopped(seen: Circumstances, code: int | None) -> Ending:
    if not seen.killed:
        return Ending(Status.STOPPED, Cause.STOPPED, "stopped before its work began", exit_code=code)
    grace = settings.TUNIX_STOP_GRACE_SECONDS
    why = "as asked, without a checkpoint" if seen.stop_now else f"it did not stop within {grace} s"
    return Ending(Status.STOPPED, Cause.FORCED, f"ended by force: {why}", exit_code=code)


def _by_signal(seen: Circumstances, number: int, log_tail: str) -> Ending:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    if (name == "SIGKILL" and seen.out_of_memory) or (name == "SIGABRT" and _MEMORY.search(log_tail)):
        reason = f"the host ran out of memory, and its process was ended by {name}"
        return Ending(Status.FAILED, Cause.HOST_MEMORY, reason, failure=Cause.HOST_MEMORY, exit_code=-number)
    by_hand = name in {"SIGKILL", "SIGTERM", "SIGHUP", "SIGINT"}
    hint = " (out of memory, or by hand)" if name == "SIGKILL" else ""
    return Ending(
        Status.FAILED,
        Cause.SIGNAL,
        f"its process was ended by {name}{hint}",
        # Who sends a signal may send it at any step; a crash of its own comes again at the same.
        failure="" if by_hand else name,
        exit_code=-number,
    )


def _by_code(code: int, log_tail: str) -> Ending:
    lines = [line.strip() for line in log_tail.splitlines() if line.strip()]
    last = lines[-1][:300] if lines else ""
    cause = Cause.HOST_MEMORY if _MEMORY.search(log_tail) else Cause.EXCEPTION
    reason = f"its process ended with exit code {code}" + (f": {last}" if last else "")
    return Ending(Status.FAILED, cause, reason, failure=f"exit {code}: {last}", exit_code=code)


def oom_kills() -> int | None:
    """Count the processes of this control group that the kernel ended for lack of memory; None if unknown."""
    try:
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            number, _, path = line.split(":", 2)
            if number != "0":
                continue
            events = Path("/sys/fs/cgroup") / path.strip("/") / "memory.events"
            for event in events.read_text().splitlines():
                name, count = event.split()
                if name == "oom_kill":
                    return int(count)
    except (OSError, ValueError):
        return None
    return None
