"""The child's side: one prompt after the other, each told as it is written, and an end in time."""

import os
import signal
import threading
import time
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone

from runs import services
from runs.devices import Device
from runs.models import Generation, PlaygroundSession, Run
from runs.playground import serving
from runs.playground.sessions import withdraw
from runs.playground.standing import standing
from runs.playground.tests.support import Writer, asked, claimed, server, session_run, trained
from runs.states import Kind, Status
from runs.tests.control_support import queued
from runs.tests.support import finish, fresh
from tunix_site.errors import ConflictError

pytestmark = pytest.mark.django_db
State = Generation.State


@pytest.fixture(autouse=True)
def quick(monkeypatch, settings):
    settings.TUNIX_PLAYGROUND_IDLE_SECONDS = 0
    monkeypatch.setattr(serving, "TELL_S", 0.0)


@pytest.fixture
def run(tmp_path):
    return trained(tmp_path, 10, 20)


def again(row):
    return Generation.objects.get(pk=row.pk)


def long_ago(run):
    """Let a queued run have waited longer than a free device would let it."""
    Run.objects.filter(pk=run.pk).update(queued_at=timezone.now() - 2 * serving.PASSED_OVER)
    return run


def test_questions_are_written_in_their_order_and_told_piece_by_piece(run):
    rows = [asked(run, f"{number}+1") for number in range(3)]
    seen = []
    writer = Writer(between=lambda _: seen.append([again(row).text for row in rows]))
    facts = server(rows[0], writer).serve()
    assert [one["prompt"] for one in writer.asked] == ["0+1", "1+1", "2+1"]
    assert seen[:4] == [["", "", ""], ["7+3", "", ""], ["7+3=0\n", "", ""], ["7+3=0\n#0", "", ""]]
    done = again(rows[0])
    assert (done.state, done.text, done.tokens, done.finished) == (State.DONE, "7+3=0\n#0", 4, True)
    assert done.started_at <= done.first_text_at <= done.ended_at
    assert facts == {"status": "completed", "reason": "nobody asked any more; wrote 3 texts"}


def test_an_error_ends_one_text_and_not_the_session(run):
    rows = [asked(run), asked(run)]
    writer = Writer(error=ValueError("odd\nmore"))
    serving_one = server(rows[0], writer)
    serving_one.serve()
    assert (again(rows[0]).state, again(rows[0]).reason) == (State.FAILED, "ValueError: odd")
    assert len(writer.asked) == 2


def test_what_a_person_stops_ends_where_it_is(run, operator):
    row = asked(run, actor=operator)

    def stop(number):
        if number == 2:
            withdraw(again(row), actor=operator)

    server(row, Writer(between=stop)).serve()
    stopped = again(row)
    assert (stopped.state, stopped.text, stopped.reason) == (State.STOPPED, "7+3=0\n", "stopped by a person")
    with pytest.raises(ConflictError, match="is stopped; there is nothing to stop"):
        withdraw(stopped, actor=operator)


def test_what_is_withdrawn_while_it_waits_is_never_begun(run, operator):
    rows = [asked(run, actor=operator) for _ in range(2)]
    withdraw(rows[0], actor=operator)
    writer = Writer()
    server(rows[1], writer).serve()
    assert len(writer.asked) == 1
    assert again(rows[0]).text == ""


def test_a_session_that_nobody_waits_for_leaves_the_queue(run, operator):
    rows = [asked(run, actor=operator) for _ in range(2)]
    withdraw(rows[0], actor=operator)
    assert session_run(rows[0]).status == Status.QUEUED
    withdraw(rows[1], actor=operator)
    assert session_run(rows[1]).status == Status.STOPPED
    assert asked(run, actor=operator).session_id != rows[0].session_id


def test_a_text_ends_when_its_time_is_up(run, settings):
    settings.TUNIX_PLAYGROUND_SECONDS = 0.05
    row = asked(run)
    server(row, Writer(between=lambda number: time.sleep(0.1 * (number == 2)))).serve()
    ended = again(row)
    assert (ended.state, ended.text, ended.finished) == (State.STOPPED, "7+3=0\n", False)
    assert ended.reason == "its time was up after 0.05 s"


def test_a_program_that_looks_at_no_clock_is_ended_with_its_process(run, settings, monkeypatch):
    settings.TUNIX_PLAYGROUND_SECONDS = 0.05
    monkeypatch.setattr(serving, "OVERDUE_S", 0.05)
    told = threading.Event()
    given_up = []

    def give_up(pk):
        given_up.append(pk)
        told.set()

    monkeypatch.setattr(serving, "_give_up", give_up)
    row = asked(run)
    server(row, Writer(between=lambda number: number or told.wait(5))).serve()
    assert given_up == [row.pk]


def test_who_gives_up_says_so_and_asks_its_own_process_to_stop(run, monkeypatch):
    row = asked(run)
    Generation.objects.filter(pk=row.pk).update(state=State.WRITING, text="7+")
    signals: list[Any] = []
    monkeypatch.setattr("runs.playground.serving.os.kill", lambda *to: signals.append(to))
    monkeypatch.setattr("runs.playground.serving.connection.close", lambda: None)
    serving._give_up(row.pk)
    assert (again(row).state, again(row).text) == (State.FAILED, "7+")
    assert "could not be broken off" in again(row).reason
    assert signals == [(os.getpid(), signal.SIGTERM)]


def test_the_device_goes_to_who_waits_for_it_after_the_text_at_hand(run, settings):
    settings.TUNIX_PLAYGROUND_IDLE_SECONDS = 600
    rows = [asked(run), asked(run)]
    served = server(rows[0], Writer())
    waits = long_ago(queued(name="a training"))
    facts = served.serve()
    assert facts["reason"] == "gave the device to who waited for it; wrote 1 text"
    assert again(rows[0]).state == State.DONE
    # What still waits goes on behind the run that waited.
    handed = again(rows[1])
    assert handed.state == State.WAITING
    assert handed.session_id != rows[0].session_id
    behind = session_run(handed)
    assert (behind.kind, behind.status) == (Kind.PLAYGROUND, Status.QUEUED)
    assert behind.queue_position > fresh(waits).queue_position


def test_an_idle_session_gives_way_without_making_another(run, settings):
    settings.TUNIX_PLAYGROUND_IDLE_SECONDS = 600
    row = asked(run)
    served = server(row, Writer(between=lambda number: number or long_ago(queued())))
    assert served.serve()["reason"].startswith("gave the device")
    assert PlaygroundSession.objects.count() == 1


def test_runs_that_another_device_will_take_do_not_end_a_session(run):
    row = asked(run)
    served = server(row, Writer())
    queued(name="just came")
    long_ago(queued(device=Device(kind="gpu")))
    Run.objects.filter(pk=long_ago(queued()).pk).update(assigned_to="runs@there/cpu:1")
    assert served.serve()["reason"].startswith("nobody asked any more")


def test_a_question_that_comes_at_the_last_moment_is_still_written(run, settings, monkeypatch):
    settings.TUNIX_PLAYGROUND_IDLE_SECONDS = 1
    first = asked(run)
    late: list[Generation] = []
    served = server(first, Writer())

    def nobody_but_a_question() -> bool:
        if not late:
            late.append(asked(run))
        return False

    session = PlaygroundSession.objects.get(pk=first.session_id)
    monkeypatch.setattr(served, "_somebody_waits", nobody_but_a_question)
    assert served.serve()["reason"] == "nobody asked any more; wrote 2 texts"
    assert again(late[0]).state == State.DONE
    session.refresh_from_db()
    assert not session.accepts
    assert asked(run).session_id != session.pk


def test_a_database_that_is_away_costs_a_text_nothing(run, monkeypatch):
    row = asked(run)
    store = serving.Telling._store
    away: list[Any] = []

    def fail_at_first(self, text, **facts):
        if not away:
            away.append(text)
            raise OperationalError("database is locked")
        return store(self, text, **facts)

    monkeypatch.setattr(serving.Telling, "_store", fail_at_first)
    monkeypatch.setattr("runs.playground.serving.connection.close", lambda: None)
    server(row, Writer()).serve()
    assert (again(row).state, again(row).text) == (State.DONE, "7+3=0\n#0")


def test_what_no_database_takes_is_stored_as_it_can_be(run):
    row = asked(run)
    server(row, Writer(pieces=["a\x00b", "a\x00b\ufffd"])).serve()
    assert again(row).text == "a\N{REPLACEMENT CHARACTER}b\ufffd"


@pytest.mark.parametrize(
    ("status", "state", "says"),
    [
        (Status.FAILED, State.FAILED, "its process was ended by SIGKILL (run {0}); ask again"),
        (Status.LOST, State.FAILED, "its process was ended by SIGKILL (run {0}); ask again"),
        (Status.STOPPED, State.STOPPED, "its process was ended by SIGKILL"),
    ],
)
def test_what_a_dead_process_owed_says_so(run, status, state, says):
    row = asked(run)
    attempt = claimed(row)
    Generation.objects.filter(pk=row.pk).update(state=State.WRITING, text="7+")
    assert standing(again(row)).open
    finish(attempt, status, reason="its process was ended by SIGKILL")
    stands = standing(again(row))
    assert (stands.open, stands.state, stands.reason) == (False, state, says.format(attempt.run_id))
    Run.objects.filter(pk=attempt.run_id).delete()
    assert standing(again(row)).state == State.FAILED


def test_a_session_that_is_queued_again_does_not_write_on_where_it_broke_off(run):
    row, waits = asked(run), asked(run)
    attempt = claimed(row)
    Generation.objects.filter(pk=row.pk).update(state=State.WRITING, text="7+")
    finish(attempt, Status.FAILED)
    services.requeue_run(session_run(row))
    server(row, Writer()).serve()
    assert (again(row).state, again(row).reason) == (State.FAILED, "its process broke off; ask again")
    assert again(waits).state == State.DONE


def test_it_says_what_a_question_waits_for(run):
    rows = [asked(run) for _ in range(3)]
    assert "no worker is running" in standing(again(rows[0])).waiting
    attempt = claimed(rows[0])
    assert standing(again(rows[0])).waiting == "its process is starting"
    Run.objects.filter(pk=attempt.run_id).update(status=Status.STOPPING)
    assert standing(again(rows[0])).waiting == "its process is being stopped"
    Run.objects.filter(pk=attempt.run_id).update(status=Status.RUNNING)
    assert standing(again(rows[0])).waiting == "about to begin"
    assert standing(again(rows[1])).waiting == "1 other text first"
    assert standing(again(rows[2])).waiting == "2 other texts first"
