"""How a stop reaches a child: real processes, real signals."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest
from django.conf import settings

from runs.exit_record import EXIT_FORCED

# One long call in C that leaves Python's lock to others, as XLA's compilation does: no Python signal
# handler runs in it.
BUSY = """
    import hashlib, os, sys
    from runs.stopping import StopListener

    def say(line):
        # In one call: two threads speak here, and neither may break into the other's line.
        os.write(1, (line + "\\n").encode())

    def told(reason):
        say("told: " + reason)
        {on_first}

    listener = StopListener(supervisor_pid=int(sys.argv[1]), on_first=told)
    listener.start()
    say("ready")
    {work}
    say("worked on, asked: " + str(listener.asked()))
"""
LONG_IN_C = "hashlib.pbkdf2_hmac('sha256', b'', b'', 2**31 - 1)"
SOON_OVER = "hashlib.pbkdf2_hmac('sha256', b'', b'', 3_000_000)"


@pytest.fixture
def start_child():
    started = []

    def start(
        *,
        work: str,
        on_first: str = "pass",
        supervisor: int | None = None,
        heard_before_it_is_ready: bool = False,
    ) -> "subprocess.Popen[str]":
        child = subprocess.Popen(
            [
                sys.executable,
                "-c",
                textwrap.dedent(BUSY).format(work=work, on_first=on_first),
                str(os.getpid() if supervisor is None else supervisor),
            ],
            cwd=settings.BASE_DIR,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(child)
        if not heard_before_it_is_ready:
            assert line(child) == "ready"
        return child

    yield start
    for child in started:
        child.kill()
        child.communicate()


def line(child: "subprocess.Popen[str]") -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_is_heard_in_the_middle_of_a_long_call(start_child, number):
    child = start_child(work=LONG_IN_C)
    child.send_signal(number)
    assert line(child) == f"told: {number.name} received"
    assert child.poll() is None


def test_the_first_signal_ends_nothing_by_itself(start_child):
    child = start_child(work=SOON_OVER)
    child.send_signal(signal.SIGTERM)
    assert line(child) == "told: SIGTERM received"
    assert line(child) == "worked on, asked: True"
    assert child.wait(30) == 0


def test_where_nothing_is_worth_saving_the_first_signal_may_end_the_process(start_child):
    child = start_child(work=LONG_IN_C, on_first="os._exit(0)")
    child.send_signal(signal.SIGTERM)
    assert child.wait(30) == 0


def test_a_second_signal_ends_the_process_at_once(start_child):
    child = start_child(work=LONG_IN_C)
    child.send_signal(signal.SIGTERM)
    assert line(child).startswith("told")
    child.send_signal(signal.SIGINT)
    assert child.wait(30) == EXIT_FORCED


def test_without_a_signal_nothing_is_asked(start_child):
    child = start_child(work="pass")
    assert line(child) == "worked on, asked: False"


def test_a_supervisor_that_is_not_the_parent_counts_as_dead(start_child):
    child = start_child(work=LONG_IN_C, supervisor=1, heard_before_it_is_ready=True)
    assert {line(child), line(child)} == {"ready", "told: its supervisor died"}


def test_the_death_of_the_supervisor_is_noticed():
    # The middle process is the supervisor: it starts a child, hands on what the child says, and is killed.
    supervisor = """
        import os, subprocess, sys
        child = subprocess.Popen([sys.executable, "-c", sys.argv[1], str(os.getpid())])
        child.wait()
    """
    child = textwrap.dedent(BUSY).format(work=LONG_IN_C, on_first="os._exit(0)")
    middle = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(supervisor), child],
        cwd=settings.BASE_DIR,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert line(middle) == "ready"
    middle.kill()
    assert middle.wait(30) == -signal.SIGKILL
    assert line(middle) == "told: its supervisor died"
    assert line(middle) == ""
