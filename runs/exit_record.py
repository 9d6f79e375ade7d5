"""The exit record: how the process of an attempt ended, written by itself as its last act.

A supervisor that did not start a process cannot ask the system for its exit code; it reads this.
"""

import json
import os
from pathlib import Path
from typing import Any, Final

NAME: Final = "exit.json"
# Exit codes of the child, besides 0.
EXIT_FAILED: Final = 1
EXIT_STALE: Final = 3
EXIT_FENCED: Final = 4
EXIT_FORCED: Final = 130


def write_exit_record(directory: Path, *, exit_code: int, **facts: Any) -> bool:
    """Write the record, whole or not at all; tell whether the disk took it."""
    fresh = directory / f".{NAME}.{os.getpid()}"
    try:
        with fresh.open("w") as file:
            json.dump({"exit_code": exit_code, "pid": os.getpid(), **facts}, file, default=str)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(directory / NAME)
    except OSError:
        return False
    return True


def read_exit_record(directory: Path) -> dict[str, Any]:
    """Read the record; empty where there is none, or none that can be read."""
    try:
        found = json.loads((directory / NAME).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
