"""Who uses a GPU: which of its processes belong to runs of this host, and who has filled it."""

from pathlib import Path
from typing import Any

from runs.models import Attempt
from runs.nvml import Card
from runs.processes import hostname, started_at

GIB = 2**30
# A run needs this much to be worth starting: one GiB, or a tenth of the card.
LEAST_FREE_BYTES = GIB
LEAST_FREE_SHARE = 0.1
MOST_ANCESTORS = 32
NAMED = 3


def run_processes() -> dict[int, int]:
    """Give the run of each training process that is to run on this host, by pid."""
    rows = Attempt.objects.filter(host=hostname(), finished_at=None, child_pid__isnull=False)
    return {
        pid: run_id
        for run_id, pid, started in rows.values_list("run_id", "child_pid", "child_started")
        if pid is not None and not _is_another(pid, started)
    }


def _is_another(pid: int, started: float | None) -> bool:
    """Tell whether a process that came later has the pid now. One that ended may have left children."""
    now = started_at(pid)
    return now is not None and started is not None and abs(now - started) >= 5


def described(card: Card, runs: dict[int, int]) -> list[dict[str, Any]]:
    """List the processes of a card: ``{"pid", "name", "memory_bytes", "run_id"}``.

    ``run_id`` is None for a foreign process, one that neither is the process of a run nor was
    started by one.
    """
    return [
        {
            "pid": process.pid,
            "name": process.name,
            "memory_bytes": process.memory_bytes,
            "run_id": _run_of(process.pid, runs),
        }
        for process in card.processes or ()
    ]


def _run_of(pid: int, runs: dict[int, int]) -> int | None:
    for _ in range(MOST_ANCESTORS):
        if pid in runs:
            return runs[pid]
        parent, session = _parent_and_session(pid)
        if session in runs:
            return runs[session]
        if parent <= 1:
            break
        pid = parent
    return None


def _parent_and_session(pid: int) -> tuple[int, int]:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        # The name stands in parentheses and may itself hold spaces and parentheses.
        fields = stat.rpartition(")")[2].split()
        return int(fields[1]), int(fields[3])
    except (OSError, ValueError, IndexError):
        return 0, 0


def full_trouble(card: Card, processes: list[dict[str, Any]], *, leased: bool) -> str:
    """Say who has filled a card that has no room for a run; empty where there is room.

    What runs of ours hold counts as room: they give it back. A card that does not tell its
    memory, or how much of it is ours, is not called full.
    """
    total, free = card.memory_total, card.memory_free
    if not total or free is None:
        return ""
    ours = [process for process in processes if process["run_id"] is not None]
    if any(process["memory_bytes"] is None for process in ours) or (leased and not ours):
        return ""
    room = free + sum(process["memory_bytes"] for process in ours)
    if room >= max(LEAST_FREE_BYTES, LEAST_FREE_SHARE * total):
        return ""
    foreign = [process for process in processes if process["run_id"] is None]
    foreign.sort(key=lambda process: -(process["memory_bytes"] or 0))
    who = ", ".join(f"{process['name'] or 'a process'} (pid {process['pid']})" for process in foreign[:NAMED])
    if len(foreign) > NAMED:
        who += f" and {len(foreign) - NAMED} more"
    used = f"{(total - free) / GIB:.1f} of {total / GIB:.1f} GiB used by "
    return f"is full: {used}{who or 'processes that the driver does not name'}"
