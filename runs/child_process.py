"""The process that works on an attempt, as its supervisor sees it: started here, or found at work."""

import contextlib
import os
import select
import signal
import subprocess
import time
from typing import Protocol, Self

from runs.processes import is_alive

POLL_S = 0.2


class ChildProcess(Protocol):
    """What a supervisor does with the process of an attempt."""

    pid: int

    def wait(self, seconds: float) -> bool:
        """Wait for its end; tell whether it has come."""

    @property
    def exit_code(self) -> int | None:
        """How it ended: negative for a signal; None where that cannot be known."""

    def stop(self) -> None:
        """Ask it to stop (SIGTERM)."""

    def kill(self) -> None:
        """End it, and what it started, by force."""


class OwnChild:
    """A process that this supervisor started."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process
        self.pid = process.pid

    def wait(self, seconds: float) -> bool:
        """Wait for its end; tell whether it has come."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self._process.returncode is not None

    @property
    def exit_code(self) -> int | None:
        """How it ended: negative for a signal."""
        return self._process.returncode

    def stop(self) -> None:
        """Ask it to stop."""
        self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it, and what it started, by force."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)


class FoundChild:
    """A process that an earlier supervisor started; only the system's word tells that it lives.

    A descriptor of the process itself (Linux) makes sure that no later process with its pid is meant.
    """

    exit_code: int | None = None

    def __init__(self, pid: int, started: float | None, boot: str) -> None:
        self.pid, self._started, self._boot = pid, started, boot
        self._descriptor: int | None = None
        with contextlib.suppress(OSError, AttributeError):
            self._descriptor = os.pidfd_open(pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Give the descriptor back."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def wait(self, seconds: float) -> bool:
        """Wait for its end; tell whether it has come."""
        if not self._alive():
            return True
        if self._descriptor is not None:
            select.select([self._descriptor], [], [], seconds)
        else:
            time.sleep(min(seconds, POLL_S))
        return not self._alive()

    def stop(self) -> None:
        """Ask it to stop."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """End it by force."""
        self._send(signal.SIGKILL)

    def _alive(self) -> bool:
        return is_alive(self.pid, self._started, self._boot)

    def _send(self, number: signal.Signals) -> None:
        if not self._alive():
            return
        with contextlib.suppress(ProcessLookupError):
            if self._descriptor is not None:
                signal.pidfd_send_signal(self._descriptor, number)
            else:
                os.kill(self.pid, number)
