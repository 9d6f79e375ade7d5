"""How an attempt ended, told from what there is: its word, its record, its exit code, its log."""

import json
import signal

import pytest

from runs.endings import Circumstances, decide, oom_kills
from runs.exit_record import EXIT_FENCED, EXIT_FORCED, NAME, read_exit_record, write_exit_record
from runs.states import Cause, Status


def ending(seen=None, *, word=None, record=None, log_tail="", **circumstances):
    return decide(
        word=word or {},
        record=record or {},
        log_tail=log_tail,
        seen=seen or Circumstances(**circumstances),
    )


def test_the_last_word_of_the_journal_counts_whatever_the_process_did_then():
    word = {"status": "completed", "reason": ""}
    found = ending(word=word, exit_code=-signal.SIGKILL, killed=True, stop_sent=True)
    assert (found.status, found.cause, found.exit_code) == (Status.COMPLETED, Cause.COMPLETED, -9)


def test_an_exit_record_counts_where_the_journal_has_no_last_word():
    record = {
        "status": "failed",
        "reason": "no room",
        "cause": "refused",
        "failure": "X: no room",
        "exit_code": 1,
    }
    found = ending(record=record, adopted=True)
    assert (found.status, found.cause, found.reason, found.failure, found.exit_code) == (
        Status.FAILED, Cause.REFUSED, "no room", "X: no room", 1,
    )  # fmt: skip


def test_an_adopted_process_that_leaves_nothing_is_unknown():
    found = ending(adopted=True)
    assert (found.status, found.cause) == (Status.FAILED, Cause.UNKNOWN)
    assert found.reason.startswith("unknown, adopted")


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL])
def test_a_crash_is_named_by_its_signal_and_may_be_recognised(number):
    found = ending(exit_code=-number)
    assert (found.cause, found.reason) == (Cause.SIGNAL, f"its process was ended by {number.name}")
    assert found.failure == number.name


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_from_outside_is_no_failure_that_repeats_itself(number):
    assert ending(exit_code=-number).failure == ""


def test_sigkill_is_a_lack_of_memory_where_the_kernel_counted_one():
    assert ending(exit_code=-9).cause == Cause.SIGNAL
    found = ending(exit_code=-9, out_of_memory=True)
    assert (found.cause, found.status) == (Cause.HOST_MEMORY, Status.FAILED)
    assert "ran out of memory" in found.reason


@pytest.mark.parametrize(
    ("code", "line"),
    [
        (-signal.SIGABRT, "terminate called after throwing an instance of 'std::bad_alloc'"),
        (1, "MemoryError"),
        (1, "XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory allocating 4096 bytes"),
    ],
)
def test_a_lack_of_memory_is_told_from_the_log(code, line):
    assert ending(exit_code=code, log_tail=f"working\n{line}\n").cause == Cause.HOST_MEMORY


def test_an_exit_code_brings_the_last_line_of_the_log():
    found = ending(exit_code=2, log_tail="Traceback\nValueError: so not\n\n")
    assert found.reason == "its process ended with exit code 2: ValueError: so not"
    assert (found.cause, found.failure) == (Cause.EXCEPTION, "exit 2: ValueError: so not")


def test_the_steps_of_the_ladder_are_told_apart():
    assert ending(exit_code=-15, stop_sent=True).reason == "stopped before its work began"
    assert ending(exit_code=-9, stop_sent=True, killed=True).reason.startswith("ended by force: it did not")
    asked = ending(exit_code=-9, stop_sent=True, killed=True, stop_now=True)
    assert (asked.status, asked.cause) == (Status.STOPPED, Cause.FORCED)
    assert asked.reason == "ended by force: as asked, without a checkpoint"
    assert ending(exit_code=EXIT_FORCED).status is Status.STOPPED


def test_a_fenced_process_is_lost_to_its_attempt():
    found = ending(exit_code=EXIT_FENCED, record={"exit_code": EXIT_FENCED, "cause": "fenced"})
    assert (found.status, found.cause) == (Status.LOST, Cause.FENCED)


def test_what_nobody_supervised_and_left_no_word_is_lost():
    found = ending(gone="its supervisor died")
    assert (found.status, found.cause, found.reason) == (Status.LOST, Cause.SUPERVISOR, "its supervisor died")


def test_a_record_is_whole_or_not_there(tmp_path):
    assert read_exit_record(tmp_path) == {}
    assert write_exit_record(tmp_path, exit_code=1, status=Status.FAILED, reason="because")
    assert {"exit_code": 1, "status": "failed", "reason": "because"}.items() <= read_exit_record(
        tmp_path
    ).items()
    (tmp_path / NAME).write_text('{"exit_code": ')
    assert read_exit_record(tmp_path) == {}
    (tmp_path / NAME).write_text(json.dumps([1]))
    assert read_exit_record(tmp_path) == {}
    assert not write_exit_record(tmp_path / "missing", exit_code=0)


def test_the_kernels_count_is_a_number_or_unknown():
    count = oom_kills()
    assert count is None or count >= 0
