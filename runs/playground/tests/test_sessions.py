"""No prompt is lost between a process that is about to end and those who ask just then."""

import contextlib
import threading

import pytest
from django.db import connection, transaction

from runs.models import Generation, PlaygroundSession, Run
from runs.playground.asking import _require_room
from runs.playground.sessions import close
from runs.playground.tests.support import asked, session_run, trained
from runs.states import Status
from runs.tests.support import fresh

CLOSED = 5
MOST = 500


@pytest.mark.django_db
def test_a_session_that_ends_in_order_leaves_the_list_of_runs(tmp_path):
    run = trained(tmp_path)
    row = asked(run)
    made = session_run(row)
    session = PlaygroundSession.objects.get(pk=made.pk)
    assert not close(session, hand_on=False)
    session.refresh_from_db()
    assert (session.accepts, fresh(made).archived_at) == (True, None)
    Generation.objects.update(state=Generation.State.DONE)
    assert close(session, hand_on=False)
    assert close(session, hand_on=True)
    assert fresh(made).archived_at is not None
    assert PlaygroundSession.objects.count() == 1


@pytest.mark.django_db
def test_what_is_handed_on_keeps_its_device_store_and_owner(tmp_path, operator):
    run = trained(tmp_path)
    row = asked(run, actor=operator)
    first = session_run(row)
    Run.objects.filter(pk=first.pk).update(device_name="a card")
    assert close(PlaygroundSession.objects.get(pk=first.pk), hand_on=True)
    row.refresh_from_db()
    second = session_run(row)
    same = ("kind", "device_kind", "device_name", "store", "owner_id", "config")
    fresh(first)
    assert [getattr(second, name) for name in same] == [getattr(first, name) for name in same]
    assert (second.status, second.attempt) == (Status.QUEUED, 1)


@pytest.mark.django_db(transaction=True)
def test_who_asks_while_a_session_closes_is_served_by_one_that_goes_on(tmp_path):
    run = trained(tmp_path)
    asked(run)
    over = threading.Event()
    troubles: list[BaseException] = []

    def close_again_and_again() -> None:
        try:
            while not over.is_set():
                for session in PlaygroundSession.objects.filter(accepts=True):
                    # As a process that has written what waited, and then looks whether it may end.
                    Generation.objects.filter(session=session).update(state=Generation.State.DONE)
                    if close(session, hand_on=False):
                        Run.objects.filter(pk=session.pk).update(status=Status.COMPLETED)
        except BaseException as error:
            troubles.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=close_again_and_again)
    thread.start()
    try:
        for _ in range(MOST):
            asked(run)
            if PlaygroundSession.objects.filter(accepts=False).count() >= CLOSED:
                break
    finally:
        over.set()
        thread.join(60)
    assert troubles == []
    left = Generation.objects.filter(state=Generation.State.WAITING)
    assert not left.filter(session__accepts=False).exists()
    assert not left.filter(session__run__status=Status.COMPLETED).exists()
    assert PlaygroundSession.objects.filter(accepts=False).count() >= CLOSED


@pytest.mark.django_db(transaction=True)
def test_a_session_that_closes_waits_for_nobody_who_asks(tmp_path, operator):
    """One closes while it holds its row, and names its owner in a new run; who asks holds that person."""
    asked(trained(tmp_path), actor=operator)
    troubles: list[BaseException] = []

    def close_it() -> None:
        try:
            with connection.cursor() as cursor:
                if connection.vendor == "postgresql":
                    cursor.execute("SET lock_timeout = '3s'")
            assert close(PlaygroundSession.objects.get(), hand_on=True)
        except BaseException as error:
            troubles.append(error)
        finally:
            connection.close()

    # SQLite has one writer, so nobody can hold a row there.
    with transaction.atomic() if connection.vendor == "postgresql" else contextlib.nullcontext():
        _require_room(operator, 1)
        thread = threading.Thread(target=close_it)
        thread.start()
        thread.join(60)
    assert troubles == []
    assert PlaygroundSession.objects.filter(accepts=True).count() == 1
    assert PlaygroundSession.objects.count() == 2
