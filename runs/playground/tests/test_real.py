"""A real session: through the queue, in a process of its own, until it is killed or stopped."""

import os
import signal
from typing import Any

import pytest

from runs import services
from runs.models import Attempt, DeviceLease, Generation, Run
from runs.playground.standing import standing
from runs.playground.tests.support import asked, session_run
from runs.states import Status
from runs.tests.support import fresh, manage_json, wait_until
from runs.tests.training_support import SMOKE

pytestmark = pytest.mark.jax
pytest.importorskip("jax")

State = Generation.State
# More than any machine writes in its time.
ENDLESS: dict[str, Any] = {"max_new_tokens": 100_000, "temperature": 0.001}
DRAWN: dict[str, Any] = {"max_new_tokens": 90, "temperature": 1.2, "top_k": 40, "top_p": 0.9, "seed": 5}


@pytest.fixture
def limits(monkeypatch, settings):
    for name, value in {"SECONDS": 20, "LENGTH": 131_072, "IDLE_SECONDS": 300}.items():
        monkeypatch.setenv(f"TUNIX_PLAYGROUND_{name}", str(value))
        setattr(settings, f"TUNIX_PLAYGROUND_{name}", value)


def ended(row: Generation) -> Generation:
    wait_until(lambda: not standing(Generation.objects.get(pk=row.pk)).open, what=f"the end of {row}")
    return Generation.objects.get(pk=row.pk)


def length(row: Generation) -> int:
    return len(Generation.objects.get(pk=row.pk).text)


def grows(row: Generation) -> None:
    """Wait until a text has come in two pieces."""
    first = wait_until(lambda: length(row) or None, what="the first piece")
    wait_until(lambda: length(row) > first, what="the next piece")


def test_a_session_writes_gives_way_is_killed_runs_out_of_time_and_is_stopped(limits, at_work):
    trained = manage_json("train", *SMOKE, "--foreground")
    run = Run.objects.get(pk=trained["run_id"])
    at_work()

    row = ended(asked(run, "7+3", **DRAWN))
    assert (row.state, row.reason) == (State.DONE, "")
    session = session_run(row)
    again = ended(asked(run, "7+3", **DRAWN))
    assert (again.session_id, again.text) == (row.session_id, row.text)
    assert fresh(session).status == Status.RUNNING
    assert DeviceLease.objects.get().run_id == session.pk
    # Whoever waits for the device gets it, and writes the very same.
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in DRAWN.items()]
    alone = manage_json("generate", str(run.pk), "--prompt", "7+3", *flags)
    assert (alone["text"], alone["tokens"], alone["stopped_at_eos"]) == (row.text, row.tokens, row.finished)
    assert (fresh(session).status, session.reason) == (
        Status.COMPLETED,
        "gave the device to who waited for it; wrote 2 texts",
    )

    row = asked(run, "7+3", **ENDLESS)
    grows(row)
    session = session_run(row)
    child = Attempt.objects.get(run=session).child_pid
    assert child is not None
    os.kill(child, signal.SIGKILL)
    wait_until(lambda: fresh(session).is_ended, what="the end of the session")
    assert session.status == Status.FAILED
    assert not DeviceLease.objects.exists()
    stands = standing(ended(row))
    assert stands.state == State.FAILED
    assert "SIGKILL" in stands.reason
    assert "ask again" in stands.reason

    row = ended(asked(run, "7+3", **ENDLESS))
    assert (row.state, row.reason) == (State.STOPPED, "its time was up after 20 s")
    assert row.text
    session = session_run(row)
    assert session.status == Status.RUNNING
    services.request_stop(session)
    wait_until(lambda: fresh(session).is_ended, what="the end of the session")
    assert session.status == Status.STOPPED
    assert not DeviceLease.objects.exists()
