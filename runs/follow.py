"""Follow a run in the terminal: a progress bar, Ctrl-C, and the end."""

import contextlib
import sys
import time
from collections.abc import Callable
from typing import TextIO

from django.db import InterfaceError, OperationalError, close_old_connections, connection
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from runs import services
from runs.models import MetricPoint, Run
from runs.states import ALIVE, Status
from runs.waiting import waiting_reasons
from tunix_site.errors import ConflictError, UserError

POLL_S = 0.5
PLAIN_LINE_S = 10.0


class Follower:
    """Shows a run until it ends. Progress goes to standard error, never to standard output.

    ``check`` is called at every look and may raise to give up (a supervisor that failed).
    """

    def __init__(
        self, run: Run, *, check: Callable[[], None] = lambda: None, stream: TextIO | None = None
    ) -> None:
        self.run = run
        self.check = check
        self.stream = stream or sys.stderr
        self.interactive = self.stream.isatty()
        self.terminated = False
        self._last_line = 0.0
        self._last_shown = ""

    def follow(self) -> Run:
        """Watch until the run has ended. Returns the run as it then stands."""
        console = Console(file=self.stream)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn(f"{self.run.step_unit} {{task.completed}}/{{task.total}}"),
            TextColumn("{task.fields[facts]}"),
            TimeRemainingColumn(),
        )
        bar = Progress(*columns, console=console, disable=not self.interactive, transient=False)
        with bar:
            task = bar.add_task(f"run {self.run.pk}", total=max(1, self.run.total_steps), facts="")
            while True:
                try:
                    if not self._look(bar, task):
                        return self.run
                    time.sleep(POLL_S)
                except KeyboardInterrupt:
                    bar.stop()
                    self._interrupted()
                    bar.start()

    def _look(self, bar: Progress, task: TaskID) -> bool:
        self.check()
        run = self.run
        try:
            close_old_connections()
            run.refresh_from_db()
            facts = self._facts()
        except (OperationalError, InterfaceError):
            # Training does not wait for the database, so whoever watches it need not give up.
            connection.close()
            bar.update(task, facts="the database does not answer")
            if not self.interactive:
                self._plain(f"run {run.pk}: the database does not answer")
            return True
        label = f"run {run.pk} {run.phase if run.is_supervised and run.phase else run.status}"
        if run.status == Status.QUEUED and (reason := waiting_reasons([run]).get(run.pk)):
            facts = f"waiting: {reason}"
        bar.update(task, description=label, completed=run.step, facts=facts)
        if not self.interactive:
            self._plain(f"{label}: {run.step_unit} {run.step}/{run.total_steps} {facts}".rstrip())
        return run.status in ALIVE

    def _plain(self, line: str) -> None:
        """Write a line now and then where there is no terminal to draw a bar on."""
        phase_changed = line.partition(":")[0] != self._last_shown.partition(":")[0]
        if line != self._last_shown and (phase_changed or time.monotonic() - self._last_line > PLAIN_LINE_S):
            print(line, file=self.stream, flush=True)
            self._last_shown, self._last_line = line, time.monotonic()

    def _facts(self) -> str:
        newest = {}
        for name in ("train/loss", "train/tokens_per_second"):
            value = (
                MetricPoint.objects.filter(run=self.run, name=name, step=self.run.step, superseded=False)
                .values_list("value", flat=True)
                .first()
            )
            if value is not None:
                newest[name] = value
        parts = []
        if "train/loss" in newest:
            parts.append(f"loss {newest['train/loss']:.4f}")
        if "train/tokens_per_second" in newest:
            parts.append(f"{newest['train/tokens_per_second']:,.0f} tok/s")
        return "  ".join(parts)

    def terminate(self, number: int, frame: object) -> None:
        """Stop the run with a checkpoint: the handler of SIGTERM where this process supervises it."""
        if not self.terminated:
            self.terminated = True
            raise KeyboardInterrupt

    def _interrupted(self) -> None:
        """Ask once whether to stop; a second Ctrl-C is a yes, and one while stopping leaves."""
        self.run.refresh_from_db()
        if self.run.status == Status.STOPPING:
            raise UserError(
                f"Left run {self.run.pk} while it stops.", hint="See `manage.py train --resume-from latest`."
            )
        answer = "y"
        if self.interactive and sys.stdin.isatty() and not self.terminated:
            with contextlib.suppress(KeyboardInterrupt, EOFError):
                answer = input(f"\nStop run {self.run.pk} with a checkpoint? [Y/n] ").strip().lower() or "y"
        if answer.startswith("n"):
            return
        with contextlib.suppress(ConflictError):
            reason = "SIGTERM to its command" if self.terminated else "stopped with Ctrl-C"
            services.request_stop(self.run, reason=reason)
            print(f"Stopping run {self.run.pk} with a checkpoint …", file=self.stream, flush=True)
