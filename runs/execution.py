"""What the child process does: one attempt's work, told to the journal.

Runs in a process of its own (`manage.py execute_run`), where alone JAX is loaded. Its main thread reads
the run and its data from the database once and then only writes its journal, its log and its
checkpoints; a thread beside it keeps the line to the run's row, and nothing waits for that one.
"""

import logging
import os
import signal
import time
import traceback
from pathlib import Path
from typing import Any

from django.db import connection

from runs.endings import Circumstances
from runs.exit_record import EXIT_FAILED, EXIT_FENCED, EXIT_FORCED, EXIT_STALE, write_exit_record
from runs.finishing import finish
from runs.jobs import Job
from runs.journal import JOURNAL_NAME, JournalRecorder
from runs.journal_header import journal_header
from runs.lifeline import Lifeline
from runs.models import Attempt, Run
from runs.patience import patiently
from runs.processes import is_alive, started_at
from runs.states import SUPERVISED, Cause, Kind, Status
from runs.stopping import SUPERVISOR_DIED, StopListener
from runs.system_metrics import SystemSampler
from runs.upkeep import Upkeep
from training.errors import TrainingError

log = logging.getLogger(__name__)

# How long a process that is done and supervised by nobody tries to tell the database so.
TELL_S = 60.0
# How long it waits for room on its journal's disk: what is not written then is lost with it.
ROOM_S = 3600.0


class Execution:
    """One attempt of one run, inside its child process."""

    def __init__(self, run: Run, attempt: Attempt, *, supervisor_pid: int) -> None:
        self.run, self.attempt = run, attempt
        self.directory = run.attempt_directory(attempt.number)
        self.listener = StopListener(
            supervisor_pid=None if attempt.outlives_supervisor else supervisor_pid,
            on_first=self._on_stop,
            on_forced=lambda: self._record(EXIT_FORCED),
        )
        self.recorder = JournalRecorder(
            self.directory / JOURNAL_NAME,
            stop_asked=self.listener.asked,
            say=_say,
            header=journal_header(run, attempt),
            end_wait_s=ROOM_S,
        )
        self.lifeline = Lifeline(
            attempt, progress=self._progress, ask_stop=self.listener.ask, end=self._end_by_force
        )
        sampler = SystemSampler(run.device_kind, run.device_uuid, os.getpid())
        self.upkeep = Upkeep(self.directory, recorder=self.recorder, sampler=sampler)

    def carry_out(self) -> int:
        """Work and write the attempt's last word. Returns the exit code of the process."""
        self.listener.start()
        self.lifeline.start()
        self.upkeep.start()
        code, facts = self._work()
        self.upkeep.close()
        self._last_word(code, **facts)
        self._tell_where_nobody_supervises()
        return code

    def _work(self) -> tuple[int, dict[str, Any]]:
        try:
            return 0, Job(self.run, self.attempt, self.recorder).carry_out()
        except TrainingError as error:
            _say(f"Failed: {error}")
            return EXIT_FAILED, self._failure(error, str(error))
        except Exception as error:
            _say(traceback.format_exc().rstrip())
            return EXIT_FAILED, self._failure(error, f"{type(error).__name__}: {error}")

    def _failure(self, error: Exception, reason: str) -> dict[str, Any]:
        first = str(error).partition("\n")[0]
        return {
            "status": Status.FAILED,
            "step": self.recorder.current_step,
            "reason": reason,
            "cause": self._cause_of(error),
            "failure": f"{type(error).__name__}: {first}"[:200],
        }

    def _cause_of(self, error: Exception) -> Cause:
        from training.memory import is_out_of_memory

        cause = Cause.EXCEPTION
        if isinstance(error, TrainingError):
            cause = Cause(error.cause)
        elif is_out_of_memory(error):
            cause = Cause.DEVICE_MEMORY
        # A CPU's memory is the host's.
        on_host = cause == Cause.DEVICE_MEMORY and self.run.device_kind == "cpu"
        return Cause.HOST_MEMORY if on_host else cause

    def _on_stop(self, reason: str) -> None:
        """End at once where nothing is worth saving: before the first step, and in short jobs."""
        _say(f"Stop: {reason}.")
        if not self._has_work_to_round_off():
            self._last_word(0, status=Status.STOPPED, step=self.recorder.current_step, reason=reason)
            self._tell_where_nobody_supervises()
            os._exit(0)

    def _has_work_to_round_off(self) -> bool:
        """A training writes a checkpoint; an evaluation that has texts ends between two stretches."""
        begun = self.recorder.current_phase not in {"starting", "compiling"}
        if self.run.kind == Kind.EVALUATE:
            return begun and self.recorder.current_step > 0
        return begun and self.run.kind == Kind.TRAIN

    def _last_word(self, code: int, **facts: Any) -> None:
        """Write the end to the journal and the exit record; the lifeline has nothing more to say."""
        if facts.get("status") == Status.STOPPED and "cause" not in facts:
            died = self.listener.reason == SUPERVISOR_DIED
            facts["cause"] = Cause.SUPERVISOR if died else Cause.STOPPED
        self.recorder.end(**facts)
        self.lifeline.close()
        self._record(code, **{name: facts.get(name, "") for name in ("status", "reason", "cause", "failure")})

    def _record(self, code: int, **facts: Any) -> None:
        write_exit_record(
            self.directory, exit_code=code, step=self.recorder.current_step, at=time.time(), **facts
        )

    def _progress(self) -> dict[str, Any]:
        phase, step = self.recorder.current_phase, self.recorder.current_step
        # Before its first step an attempt has not yet told where it goes on.
        return {"phase": phase} | ({"step": step} if step else {})

    def _end_by_force(self, why: str) -> None:
        """End this process now: it is not wanted any more, or must stop without a checkpoint."""
        if why == "fenced":
            _say("This attempt no longer holds its run: another one has taken over. Its process ends.")
            self._record(EXIT_FENCED, cause=Cause.FENCED)
            os._exit(EXIT_FENCED)
        _say("Stop: at once, without a checkpoint.")
        reason = "ended by force, as asked, without a checkpoint"
        self._record(EXIT_FORCED, status=Status.STOPPED, reason=reason, cause=Cause.FORCED)
        self._tell_where_nobody_supervises()
        os._exit(EXIT_FORCED)

    def _tell_where_nobody_supervises(self) -> None:
        """End the attempt in the database where its supervisor is dead and nobody has adopted it."""
        deadline = time.monotonic() + TELL_S
        while self.attempt.outlives_supervisor and time.monotonic() < deadline:
            # Whatever goes wrong here, the process must come to its end; the reaper tells it then.
            try:
                self.attempt.refresh_from_db()
                supervisor = (self.attempt.supervisor_pid, self.attempt.supervisor_started)
                if self.attempt.finished_at is None and not is_alive(*supervisor, self.attempt.boot_id):
                    finish(self.attempt, Circumstances(adopted=True))
                return
            except Exception as error:
                _say(f"The end could not be told to the database yet: {error}")
                connection.close()
                time.sleep(1.0)


def execute(*, run_id: int, attempt_number: int, supervisor_pid: int) -> int:
    """Carry out an attempt that a supervisor has claimed. Returns the exit code of the process.

    A child that is not (any more) wanted ends with `EXIT_STALE` and touches nothing.
    """
    # Until the listener stands, a signal ends the process: nothing has begun.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    attempt = patiently(lambda: _sign_in(run_id, attempt_number))
    if attempt is None:
        _say(f"Run {run_id} is not claimed as attempt {attempt_number}; nothing to do.")
        return EXIT_STALE
    _offer_to_the_kernel()
    return Execution(attempt.run, attempt, supervisor_pid=supervisor_pid).carry_out()


def _sign_in(run_id: int, number: int) -> Attempt | None:
    """Find the attempt that was claimed, and say which process this is, should its supervisor be dead."""
    attempt = (
        Attempt.objects.select_related("run__dataset", "run__parent")
        .filter(
            run_id=run_id,
            number=number,
            finished_at=None,
            run__attempt=number,
            run__status__in=SUPERVISED,
        )
        .first()
    )
    if attempt is not None:
        attempt.child_pid, attempt.child_started = os.getpid(), started_at(os.getpid())
        attempt.save(update_fields=["child_pid", "child_started"])
    return attempt


def _offer_to_the_kernel(path: Path = Path("/proc/self/oom_score_adj")) -> None:
    """Where memory runs out, let the kernel end this process rather than the database or the worker."""
    try:
        path.write_text("500")
    except OSError as error:
        log.debug("oom_score_adj: %s", error)


def _say(message: str) -> None:
    try:
        print(message, flush=True)
    except OSError:
        # The log's disk is full; the journal keeps what matters.
        return
