"""The child's side of a session: take one prompt after the other, tell what is written, end in time.

The database is how prompts come and texts go. While it is away nothing new is taken; a text that is
being written goes on and is told when it answers again.
"""

import datetime as dt
import logging
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from django.db.models.functions import Coalesce
from django.utils import timezone

from runs.devices import Device
from runs.journal import storable
from runs.models import Attempt, Generation, HostDevice, PlaygroundSession, Run
from runs.patience import patiently
from runs.playground.sessions import close
from runs.queueing import fitting_runs
from training.decoding import Decoding, GeneratedText, make_decoding
from training.errors import TrainingError
from training.recorder import Recorder

log = logging.getLogger(__name__)

State = Generation.State
LOOK_S: Final = 0.1
WAITERS_S: Final = 1.0
TELL_S: Final = 0.2
# A run that waits for so long was not given to another device that was free.
PASSED_OVER: Final = dt.timedelta(seconds=2)
# How long after its time a text may still be in a program that looks at no clock, as while it is compiled.
OVERDUE_S: Final = 60.0
MAX_REASON: Final = 1000


class Models(Protocol):
    """What writes; `training.serving.Models` in a child."""

    def write(
        self,
        *,
        step_dir: Path,
        prompt: str,
        decoding: Decoding,
        should_stop: Callable[[], bool],
        on_text: Callable[[GeneratedText], None],
    ) -> GeneratedText | None:
        """Write after a prompt; None where ``should_stop`` ended it."""


class Server:
    """Serves one session until nobody asks any more, or somebody else waits for the device."""

    def __init__(self, run: Run, attempt: Attempt, recorder: Recorder, models: Models) -> None:
        # One whose journal came from another site serves nobody, and ends.
        self._session, _ = PlaygroundSession.objects.get_or_create(
            run=run, defaults={"store": run.store, "device_kind": run.device_kind}
        )
        self._attempt, self._recorder, self._models = attempt, recorder, models
        self._served = 0
        self._phase = ""

    def serve(self) -> dict[str, Any]:
        """Serve to the end; give the facts of the attempt's last word."""
        patiently(self._clear_up)
        idle_since = waiters_at = time.monotonic()
        while True:
            row = patiently(self._take)
            if row is not None:
                self._say("generating")
                self._write(row)
                self._served += 1
                idle_since, waiters_at = time.monotonic(), 0.0
            else:
                self._say("idle")
                time.sleep(LOOK_S)
            now = time.monotonic()
            if now - waiters_at >= WAITERS_S:
                waiters_at = now
                if patiently(self._somebody_waits) and patiently(lambda: close(self._session, hand_on=True)):
                    return self._facts("gave the device to who waited for it")
            idle = now - idle_since >= settings.TUNIX_PLAYGROUND_IDLE_SECONDS
            if row is None and idle and patiently(lambda: close(self._session, hand_on=False)):
                return self._facts("nobody asked any more")

    def _facts(self, why: str) -> dict[str, Any]:
        texts = f"{self._served} text{'' if self._served == 1 else 's'}"
        return {"status": "completed", "reason": f"{why}; wrote {texts}"}

    def _say(self, phase: Any) -> None:
        if phase != self._phase:
            self._phase = phase
            self._recorder.phase(phase, 0)

    def _clear_up(self) -> None:
        """End what an earlier attempt of this run was writing when it broke off."""
        Generation.objects.filter(session=self._session, state=State.WRITING).update(
            state=State.FAILED, reason="its process broke off; ask again", ended_at=timezone.now()
        )

    def _take(self) -> Generation | None:
        waiting = Generation.objects.filter(session=self._session, state=State.WAITING)
        for row in waiting.order_by("pk")[:1]:
            mine = Generation.objects.filter(pk=row.pk, state=State.WAITING)
            if mine.update(state=State.WRITING, started_at=timezone.now()):
                return row
        return None

    def _somebody_waits(self) -> bool:
        """Tell whether the queue holds a run for this device that no other one took."""
        attempt = self._attempt
        run = attempt.run
        device = HostDevice.objects.filter(host=attempt.host, key=attempt.device).first()
        if device is None:
            here = Device.of_run(run)
            device = HostDevice(
                host=attempt.host, key=attempt.device, kind=here.kind, index=here.index, name=here.name
            )
        waiting = fitting_runs(device, store=run.store).exclude(pk=run.pk)
        return waiting.filter(queued_at__lte=timezone.now() - PASSED_OVER).exists()

    def _write(self, row: Generation) -> None:
        telling = Telling(row, should_stop=self._recorder.should_stop)
        overdue = threading.Timer(settings.TUNIX_PLAYGROUND_SECONDS + OVERDUE_S, _give_up, [row.pk])
        overdue.daemon = True
        overdue.start()
        try:
            text = self._models.write(
                step_dir=Path(row.path),
                prompt=row.prompt,
                decoding=make_decoding(row.decoding),
                should_stop=telling.over,
                on_text=telling.hear,
            )
        except TrainingError as error:
            telling.end(State.FAILED, str(error))
        except Exception as error:
            self._recorder.log(traceback.format_exc().rstrip())
            telling.end(State.FAILED, f"{type(error).__name__}: {str(error).partition('\n')[0]}")
        else:
            telling.end_with(text)
        finally:
            overdue.cancel()


class Telling:
    """Tells the database of one text as it is written, and hears from there that nobody wants it any more."""

    def __init__(self, row: Generation, *, should_stop: Callable[[], bool]) -> None:
        self._pk, self._should_stop = row.pk, should_stop
        self._deadline = time.monotonic() + settings.TUNIX_PLAYGROUND_SECONDS
        self._told_at = 0.0
        self._withdrawn = False
        self._last: GeneratedText | None = None

    def over(self) -> bool:
        """Tell whether writing should end: its time is up, it was withdrawn, or the process is to stop."""
        return self._withdrawn or self._should_stop() or time.monotonic() > self._deadline

    def hear(self, begun: GeneratedText) -> None:
        """Pass on how far the text is, a few times a second."""
        self._last = begun
        now = time.monotonic()
        if now - self._told_at < TELL_S:
            return
        self._told_at = now
        try:
            self._withdrawn = not self._store(begun, first_text_at=Coalesce("first_text_at", timezone.now()))
        except (OperationalError, InterfaceError) as error:
            log.warning("the text was not told, and goes on: %s", error)
            connection.close()

    def end_with(self, text: GeneratedText | None) -> None:
        """Tell the end: the whole text, or where it was broken off."""
        if text is not None:
            self._last = text
            self.end(State.DONE, "", finished=text.stopped_at_eos)
        elif time.monotonic() > self._deadline:
            self.end(State.STOPPED, f"its time was up after {settings.TUNIX_PLAYGROUND_SECONDS} s")
        else:
            self.end(State.STOPPED, "its process was asked to stop")

    def end(self, state: Generation.State, reason: str, *, finished: bool = False) -> None:
        """Tell how it ended; what a person has stopped meanwhile keeps that word, and the text so far."""
        facts = {
            "state": state,
            "reason": storable(reason)[:MAX_REASON],
            "finished": finished,
            "ended_at": timezone.now(),
        }
        if self._last is not None:
            facts["first_text_at"] = Coalesce("first_text_at", timezone.now())
        patiently(lambda: self._store(self._last, **facts))

    def _store(self, text: GeneratedText | None, **facts: Any) -> bool:
        if text is not None:
            facts |= {"text": storable(text.text), "tokens": text.tokens}
        return bool(Generation.objects.filter(pk=self._pk, state=State.WRITING).update(**facts))


def _give_up(pk: int) -> None:
    """End this process with a text that came to no end long after its time."""
    reason = f"it took longer than {settings.TUNIX_PLAYGROUND_SECONDS} s and could not be broken off"
    try:
        Generation.objects.filter(pk=pk, state=State.WRITING).update(
            state=State.FAILED, reason=reason, ended_at=timezone.now()
        )
    finally:
        connection.close()
        # As a person's stop: the listener ends the process, and its device is free.
        os.kill(os.getpid(), signal.SIGTERM)
