"""The child's own line to its run: it beats, hears of stops, and learns when it is not wanted."""

import pytest
from django.db import OperationalError, connection

from runs import services
from runs.lifeline import MARGIN_S, STOP_ASKED, Lifeline
from runs.models import Attempt, DeviceLease, Run
from runs.states import Status
from runs.tests.support import claim, finish, fresh, run_in, wait_until
from runs.tests.test_reaper import Clock

pytestmark = pytest.mark.django_db


class EndedError(Exception):
    """Stands for the end of the process."""


class Line(Lifeline):
    """A lifeline whose process ends by an error that the test sees."""

    def __init__(self, attempt: Attempt, *, clock: Clock | None = None, step: int = 7) -> None:
        self.stops: list[str] = []
        super().__init__(
            attempt,
            progress=lambda: {"phase": "training", "step": step},
            ask_stop=self.stops.append,
            end=self._ended,
            clock=clock or Clock(),
        )

    def _ended(self, why: str) -> None:
        raise EndedError(why)


@pytest.fixture
def run() -> Run:
    return run_in(Status.RUNNING)


@pytest.fixture
def attempt(run) -> Attempt:
    return Attempt.objects.get(run=run)


def test_it_shows_life_with_phase_and_step(run, attempt):
    Run.objects.update(heartbeat_at=None)
    Line(attempt).look()
    assert (fresh(run).phase, run.step) == ("training", 7)
    assert run.heartbeat_at is not None


def test_a_stop_on_the_page_reaches_the_process_without_a_supervisor(run, attempt):
    line = Line(attempt)
    line.look()
    assert line.stops == []
    services.request_stop(run)
    line.look()
    line.look()
    assert line.stops == [STOP_ASKED, STOP_ASKED]


def test_a_stop_at_once_ends_it_at_once(run, attempt):
    services.request_stop(run, now=True)
    with pytest.raises(EndedError, match="forced"):
        Line(attempt).look()


def test_a_stop_that_takes_too_long_ends_it(run, attempt, settings):
    clock = Clock()
    line = Line(attempt, clock=clock)
    services.request_stop(run)
    line.look()
    clock.now += settings.TUNIX_STOP_GRACE_SECONDS + MARGIN_S
    line.look()
    clock.now += 1
    with pytest.raises(EndedError, match="forced"):
        line.look()


def test_it_takes_a_run_back_that_was_called_lost(run, attempt):
    finish(attempt, Status.LOST)
    Line(attempt).look()
    assert fresh(run).status == Status.RUNNING
    assert DeviceLease.objects.get().run_id == run.pk


def test_another_attempt_ends_it(run, attempt):
    finish(attempt, Status.LOST)
    services.resume_run(fresh(run), deliver=False)
    assert claim(fresh(run)) is not None
    with pytest.raises(EndedError, match="fenced"):
        Line(attempt).look()


def test_another_run_on_its_device_ends_it(run, attempt):
    finish(attempt, Status.LOST)
    run_in(Status.RUNNING)
    with pytest.raises(EndedError, match="fenced"):
        Line(attempt).look()
    assert fresh(run).status == Status.LOST


def test_a_run_that_was_deleted_or_marked_ends_it(run, attempt):
    services.mark_stopped(run)
    with pytest.raises(EndedError, match="fenced"):
        Line(attempt).look()
    Run.objects.all().delete()
    with pytest.raises(EndedError, match="fenced"):
        Line(attempt).look()


def test_once_the_last_word_is_said_nothing_ends_it_any_more(run, attempt):
    line = Line(attempt)
    finish(attempt, Status.COMPLETED)
    line.close()
    line.look()


@pytest.mark.django_db(transaction=True)
def test_a_database_that_does_not_answer_is_asked_again(run, attempt, monkeypatch):
    line = Line(attempt)
    monkeypatch.setattr("runs.lifeline.BEAT_S", 0.01)
    failures = 3

    def refuse(execute, *rest):
        nonlocal failures
        if failures:
            failures -= 1
            raise OperationalError("the database is away")
        return execute(*rest)

    real = line.look

    def look() -> None:
        with connection.execute_wrapper(refuse):
            real()

    monkeypatch.setattr(line, "look", look)
    Run.objects.update(heartbeat_at=None)
    line.start()
    wait_until(lambda: fresh(run).heartbeat_at, what="a heartbeat after three refusals")
    line.close()
    line.join(10)
    assert failures == 0
