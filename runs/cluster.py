"""Be one django-q2 cluster that leaves when its worker is gone: ``python -m runs.cluster WORKER_PID``.

A worker that was killed cannot tell its clusters to end. Without this they would work on for
ever, beside those of the next worker and known to nobody. What a cluster is in the middle of it
brings to its end.
"""

import ctypes
import os
import signal
import sys

from django.core.management import execute_from_command_line

PR_SET_PDEATHSIG = 1


def end_with(worker_pid: int) -> None:
    """Let the kernel send SIGTERM to this process when the worker dies (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != worker_pid:
        sys.exit("The worker that started this cluster is gone.")


def main() -> None:
    """Work off one queue."""
    end_with(int(sys.argv[1]))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tunix_site.settings")
    execute_from_command_line(["manage.py", "qcluster"])


if __name__ == "__main__":
    main()
