"""How a stop reaches a training child: signals, the row of its run, the death of its supervisor.

Python runs its signal handlers between bytecodes of the main thread, which XLA holds for
minutes while it compiles. The operating system's side of a signal, however, writes to the
wakeup descriptor at once, and a thread of its own reads that.
"""

import os
import signal
import socket
import threading
from collections.abc import Callable

from runs.exit_record import EXIT_FORCED

SUPERVISOR_POLL_S = 1.0
SUPERVISOR_DIED = "its supervisor died"


class StopListener:
    """Turns SIGTERM, SIGINT, a request and the supervisor's death into one flag.

    ``on_first`` is called, in the listener's thread, with the reason of the first stop; it may
    end the process where nothing is worth saving. A second signal ends the process at once,
    after ``on_forced``. ``supervisor_pid`` None: the process goes on without its supervisor.
    """

    def __init__(
        self,
        *,
        supervisor_pid: int | None,
        on_first: Callable[[str], None],
        on_forced: Callable[[], None] = lambda: None,
    ) -> None:
        self.reason = ""
        self._asked = threading.Event()
        self._lock = threading.Lock()
        self._on_first, self._on_forced = on_first, on_forced
        self._supervisor_pid = supervisor_pid

    def start(self) -> None:
        """Begin to listen; call from the main thread, before anything slow."""
        reader, writer = socket.socketpair()
        writer.setblocking(False)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _leave_to_the_thread)
        self._writer = writer  # keeps the descriptor open
        threading.Thread(target=self._read_signals, args=(reader,), daemon=True, name="stop-signals").start()
        if self._supervisor_pid is not None:
            threading.Thread(target=self._watch_supervisor, daemon=True, name="supervisor-watch").start()

    def asked(self) -> bool:
        """Tell whether a stop was asked for."""
        return self._asked.is_set()

    def ask(self, reason: str) -> None:
        """Ask for a stop with a checkpoint; only the first reason counts."""
        with self._lock:
            if self._asked.is_set():
                return
            self.reason = reason
            self._asked.set()
        self._on_first(reason)

    def _read_signals(self, reader: socket.socket) -> None:
        signalled = False
        while True:
            for number in reader.recv(64):
                # A stop by the page comes twice, by the row and by a signal: there is no hurry in that.
                if signalled:
                    self._on_forced()
                    os._exit(EXIT_FORCED)
                signalled = True
                self.ask(f"{signal.Signals(number).name} received")

    def _watch_supervisor(self) -> None:
        # An orphan is handed to another parent; nobody would feed or stop it any more.
        pause = threading.Event()
        while os.getppid() == self._supervisor_pid:
            pause.wait(SUPERVISOR_POLL_S)
        self.ask(SUPERVISOR_DIED)


def _leave_to_the_thread(number: int, frame: object) -> None:
    """Do nothing: that a handler is installed makes the wakeup descriptor work."""
