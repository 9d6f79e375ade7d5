"""Facts about processes of this machine, read from the operating system."""

import os
import socket
from pathlib import Path


def hostname() -> str:
    """Name of this machine, as leases and attempts carry it."""
    return socket.gethostname()


def started_at(pid: int) -> float | None:
    """Give a number that tells this process from a later one with the same pid.

    On Linux it is the start time in clock ticks since boot plus the boot time; None where the
    process does not exist (a zombie does not count) or the system does not say.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The second field is the name in parentheses and may itself hold spaces and parentheses.
    fields = stat.rpartition(")")[2].split()
    if fields[0] in {"Z", "X"}:
        return None
    return int(fields[19]) / os.sysconf("SC_CLK_TCK") + _boot_time()


def _boot_time() -> float:
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith("btime "):
            return float(line.split()[1])
    return 0.0


def is_alive(pid: int | None, started: float | None) -> bool:
    """Tell whether the process that once had this pid and start still runs here."""
    if pid is None:
        return False
    now = started_at(pid)
    if now is None:
        return _exists_without_proc(pid)
    # The boot time may be corrected by a second or two while the machine runs.
    return started is None or abs(now - started) < 5


def _exists_without_proc(pid: int) -> bool:
    if Path("/proc/self/stat").exists():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
