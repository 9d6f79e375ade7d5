"""Facts about processes of this machine, read from the operating system.

Times are counted from the machine's start, so that setting its clock changes nothing here.
"""

import os
import socket
from functools import cache
from pathlib import Path

# Start times are whole clock ticks; this only bears the rounding.
SAME_START_S = 0.1


def hostname() -> str:
    """Name of this machine, as leases and attempts carry it."""
    return socket.gethostname()


@cache
def boot_id() -> str:
    """Name of this start of the machine; empty where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def started_at(pid: int) -> float | None:
    """Give the start of a process in seconds after the machine's: it tells one from a later one with its pid.

    None where the process does not exist (a zombie does not count) or the system does not say.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The second field is the name in parentheses and may itself hold spaces and parentheses.
    fields = stat.rpartition(")")[2].split()
    if fields[0] in {"Z", "X"}:
        return None
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


def is_alive(pid: int | None, started: float | None, boot: str = "") -> bool:
    """Tell whether the process that once had this pid and start still runs here.

    ``boot`` is the `boot_id` it was seen in; empty where that is not known.
    """
    if pid is None or (boot and boot != boot_id()):
        return False
    now = started_at(pid)
    if now is None:
        return _exists_without_proc(pid)
    return started is None or abs(now - started) < SAME_START_S


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
