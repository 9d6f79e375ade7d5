"""Append lines to a journal, whatever its disk does: a full or failing one never stops the caller.

What cannot be written waits in memory, in whole lines and with what was already written of the first, so
that no line is torn in the middle once writing goes on. It is tried again with a later line, at most once
a second. Where memory has a limit too, the oldest metric lines give way to one ``lost`` line that counts
them.
"""

import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from io import FileIO
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from runs.journal_lines import place_of, seal, torn_tail

MEMORY_BYTES = 64 << 20
RETRY_S = 1.0
POLL_S = 0.1
# About what a lost line takes.
LOST_BYTES = 80
# Lines handed to the system in one call; it takes no more than 1024.
TOGETHER = 512


class _Line(NamedTuple):
    """A line that waits. ``stands_for``: how many lost ones it tells of; 0: it is one itself."""

    data: bytes
    number: int
    may_go: bool = False
    stands_for: int = 0


class JournalWriter:
    """The writing end of one journal; every method may be called from any thread.

    ``told`` hears once when the disk refuses lines, and once when all are written again.
    """

    def __init__(
        self,
        path: Path,
        *,
        told: Callable[[str], None] = lambda _: None,
        memory_bytes: int = MEMORY_BYTES,
        retry_s: float = RETRY_S,
    ) -> None:
        self.path = path
        self.trouble = ""
        self._told = told
        self._memory_bytes = memory_bytes
        self._retry_s = retry_s
        self._lock = threading.Lock()
        self._file: FileIO | None = None
        self._waiting: deque[_Line] = deque()
        self._bytes = 0
        # Bytes of the first waiting line that are in the file already.
        self._begun = 0
        self._next_try = 0.0
        self._number = 0
        self._closed = False
        self.is_new = True
        self._attempt(self._open)

    @property
    def unwritten(self) -> int:
        """How many lines are not in the file: those that wait, and lost ones that it does not tell of yet."""
        with self._lock:
            return sum(max(1, line.stands_for) for line in self._waiting)

    def append(
        self, event: Mapping[str, Any], *, may_go: bool = False, durable: bool = False, last: bool = False
    ) -> None:
        """Write an event as the next line, or keep it until there is room.

        ``may_go``: it may be lost, and counted, where memory is full; ``durable``: see it to the disk;
        ``last``: what comes after it is not taken any more.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = last
            self._keep(_Line(seal(event, self._number), self._number, may_go))
            self._number += 1
            if self._bytes > self._memory_bytes:
                self._shrink()
            if not self.trouble or time.monotonic() >= self._next_try:
                self._drain()
            if durable and not self._waiting:
                self._attempt(self._sync)

    def flush(self, timeout: float = 0.0) -> bool:
        """Try for up to ``timeout`` seconds to write all that waits. Returns whether nothing waits."""
        deadline = time.monotonic() + timeout
        while True:
            with self._lock:
                if not self._waiting or self._drain():
                    return True
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(POLL_S, left))

    def sync(self) -> bool:
        """See what is written to the disk. Returns False where the disk fails."""
        with self._lock:
            return self._attempt(self._sync)

    def _open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = FileIO(self.path, "a+")
        size = file.seek(0, os.SEEK_END)
        if size and not self._waiting:
            self.is_new = False
            number, unsure = place_of(file, size)
            self._number = (number or 0) + unsure
            if torn_tail(self.path, max(0, size - 1)):
                # What a crash cut off becomes a line of its own, and damages no other.
                self._number += 1
                self._keep(_Line(b"\n", self._number - 1))
        self._file = file

    def _keep(self, line: _Line) -> None:
        self._waiting.append(line)
        self._bytes += len(line.data)

    def _sync(self) -> None:
        if self._file is not None:
            os.fsync(self._file.fileno())

    def _attempt(self, action: Callable[[], None]) -> bool:
        """Do something with the file; what the system refuses is kept in ``trouble``."""
        try:
            action()
        except OSError as error:
            fresh = not self.trouble
            self.trouble = error.strerror or type(error).__name__
            self._next_try = time.monotonic() + self._retry_s
            if fresh:
                self._tell(
                    f"Warning: {self.path} cannot be written ({self.trouble}); its lines wait in memory."
                )
            return False
        return True

    def _tell(self, message: str) -> None:
        # The log may lie on the same full disk.
        with contextlib.suppress(OSError, ValueError):
            self._told(message)

    def _drain(self) -> bool:
        """Write what waits, as far as the system takes it. Returns whether nothing waits any more."""
        if not self._attempt(self._write):
            return False
        if self.trouble:
            self.trouble = ""
            self._tell(f"{self.path} can be written again; nothing waits.")
        return True

    def _write(self) -> None:
        if self._file is None:
            self._open()
        assert self._file is not None  # noqa: S101  _open has just set it, or raised
        descriptor = self._file.fileno()
        while self._waiting:
            if len(self._waiting) == 1 and not self._begun:
                written = os.write(descriptor, self._waiting[0].data)
            else:
                rest = self._waiting[0].data[self._begun :]
                others = [line.data for line in islice(self._waiting, 1, TOGETHER)]
                written = os.writev(descriptor, [rest, *others])
            self._written(written)

    def _written(self, count: int) -> None:
        self._begun += count
        while self._waiting and self._begun >= len(self._waiting[0].data):
            size = len(self._waiting.popleft().data)
            self._begun -= size
            self._bytes -= size

    def _shrink(self) -> None:
        """Let the oldest metric lines go, some more than must, and only then the oldest of any kind."""
        self._let_go(anything=False)
        if self._bytes > self._memory_bytes:
            self._let_go(anything=True)

    def _let_go(self, *, anything: bool) -> None:
        target = self._memory_bytes * 9 // 10
        kept: deque[_Line] = deque()
        newest = self._waiting[-1]
        # The front of the first line may be in the file; its rest must follow.
        if self._begun:
            kept.append(self._waiting.popleft())
        size, lost, number = self._bytes, 0, 0
        for line in self._waiting:
            goes = size > target and line is not newest and (line.may_go or anything)
            if line.stands_for or goes:
                size -= len(line.data) - (0 if lost else LOST_BYTES)
                lost, number = lost + max(1, line.stands_for), line.number
                continue
            if lost:
                kept.append(_lost(lost, number))
                lost = 0
            kept.append(line)
        self._waiting, self._bytes = kept, sum(len(line.data) for line in kept)


def _lost(count: int, number: int) -> _Line:
    """Give the line that stands for ``count`` lost ones, the last of which had this number."""
    return _Line(seal({"k": "lost", "t": time.time(), "count": count}, number), number, stands_for=count)
