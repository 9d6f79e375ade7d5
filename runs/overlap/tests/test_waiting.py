"""Evaluations that wait to be looked at: databases that go away, rows that go, and what asking costs."""

import pytest
from django.db import InterfaceError, OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from runs.models import Evaluation
from runs.overlap import checking, queue
from runs.overlap.checking import check_waiting, waiting
from runs.overlap.facts import overlap_facts
from runs.overlap.queue import Asking
from runs.overlap.tests.support import asked, content, trace, trained_on
from runs.promotion import following
from runs.promotion.following import look_and_follow

pytestmark = pytest.mark.django_db


@pytest.fixture
def three():
    data = content("waits", trace("a"))
    return [trained_on(data, [asked(prompt)]) for prompt in ("a", "b", "c")]


@pytest.mark.parametrize("error", [OperationalError("database is locked"), InterfaceError("closed")])
def test_one_that_the_database_kept_from_its_end_waits_again_and_is_not_called_failed(
    three, monkeypatch, error
):
    whole = checking.check

    def break_one(evaluation, **options):
        if evaluation.pk == three[1].pk:
            raise error
        return whole(evaluation, **options)

    monkeypatch.setattr(checking, "check", break_one)
    assert check_waiting() == 2
    assert list(waiting()) == [three[1]]
    monkeypatch.undo()
    assert check_waiting() == 1
    three[1].refresh_from_db()
    assert overlap_facts(three[1].overlap).mark == "clean"


def test_names_follow_each_evaluation_before_the_next_is_looked_at(three, monkeypatch):
    told = []

    def note(rows):
        told.append(([row.pk for row in rows], Evaluation.objects.filter(overlap__state="done").count()))

    monkeypatch.setattr(following, "follow_evaluations", note)
    assert look_and_follow() == 3
    assert told == [([row.pk], done) for done, row in enumerate(reversed(three), 1)]


def test_one_whose_names_could_not_follow_for_want_of_the_database_is_looked_at_again(three, monkeypatch):
    def fail(rows):
        raise OperationalError("database is locked")

    monkeypatch.setattr(following, "follow_evaluations", fail)
    assert look_and_follow() == 0
    assert waiting().count() == 3
    monkeypatch.undo()
    assert look_and_follow() == 3


def test_a_run_that_is_deleted_after_the_claim_holds_up_no_other(three, monkeypatch):
    real, gone = Evaluation.objects.select_related, list[int]()

    def delete_first(*names):
        if not gone:
            gone.append(three[2].pk)
            Evaluation.objects.filter(pk=three[2].pk).delete()
        return real(*names)

    monkeypatch.setattr(Evaluation.objects, "select_related", delete_first)
    assert check_waiting() == 2
    assert gone
    assert not waiting().exists()


def test_asking_whether_any_waits_is_served_by_its_index():
    rows = waiting().order_by("-pk").values_list("pk", flat=True)[:1]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
    assert "evaluations_unchecked" in rows.explain()


def test_lost_claims_are_asked_for_rarely_and_found_all_the_same(three, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("runs.overlap.queue.time.monotonic", lambda: now[0])
    Evaluation.objects.update(overlap={"state": "looking", "at": timezone.now().timestamp()})
    asking = Asking()
    assert not asking.ask_where_waiting()
    with CaptureQueriesContext(connection) as caught:
        assert not asking.ask_where_waiting()
    assert "looking" not in str(caught.captured_queries)
    Evaluation.objects.update(overlap={"state": "looking", "at": 1.0})
    assert not asking.ask_where_waiting()
    now[0] += queue.LOST_EVERY_S
    assert asking.ask_where_waiting()
    assert check_waiting() == 3
