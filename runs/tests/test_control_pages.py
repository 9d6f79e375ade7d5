"""The pages of run control: what can be done, the queue, the workers, the log."""

from typing import Any

import pytest
from django.utils import timezone

from runs.draining import request_drain
from runs.models import Attempt, Run, Worker
from runs.queueing import waiting_runs
from runs.states import Status
from runs.tests.control_support import hold, make_device, make_worker, queued
from runs.tests.support import fresh, make_run, release_device, run_in
from tunix_site.errors import ConflictError
from tunix_site.models import AuditEvent
from tunix_site.tests.pages import page_text

pytestmark = pytest.mark.django_db

WILD = "<script>alert(1)</script>"


@pytest.fixture
def page(client):
    def read(path: str, form: dict[str, Any] | None = None, code: int = 200) -> str:
        return page_text(client.get(path) if form is None else client.post(path, form, follow=True), code)

    return read


@pytest.fixture
def operating(client, operator):
    client.force_login(operator)


@pytest.fixture
def administering(client, administrator):
    client.force_login(administrator)


@pytest.fixture
def viewing(client, viewer):
    client.force_login(viewer)


def test_what_loses_something_asks_before_it_is_done(administering, page):
    run = run_in(Status.RUNNING, name=WILD)
    text = page(f"/runs/{run.pk}/act/", {"action": "stop_now"})
    assert "What came after the newest checkpoint is lost." in text
    assert "&lt;script&gt;" in text
    assert fresh(run).status == Status.RUNNING
    page(f"/runs/{run.pk}/act/", {"action": "stop_now", "confirmed": "1"})
    assert (fresh(run).status, run.stop_now) == (Status.STOPPING, True)


def test_a_deleted_run_leads_back_to_the_list(administering, page):
    run = run_in(Status.STOPPED)
    assert "gone for good" in page(f"/runs/{run.pk}/act/", {"action": "delete"})
    text = page(f"/runs/{run.pk}/act/", {"action": "delete", "confirmed": "1"})
    assert f"Run {run.pk} is deleted" in text
    assert "<h1>Runs</h1>" in text


def test_a_verb_beyond_ones_right_is_refused(operating, page):
    run = run_in(Status.STOPPED)
    page(f"/runs/{run.pk}/act/", {"action": "delete", "confirmed": "1"}, 403)
    page("/runs/act/", {"action": "delete", "confirmed": "1", "run": [str(run.pk)]}, 403)
    assert 'value="delete"' not in page(f"/runs/{run.pk}/")
    assert fresh(run)


@pytest.mark.parametrize("action", ["", "explode", "pin", "fork"])
def test_what_is_no_verb_of_a_run_is_a_bad_request(operating, page, action):
    page(f"/runs/{make_run().pk}/act/", {"action": action}, 400)


def test_many_runs_are_acted_on_with_a_result_for_each(administering, page):
    running = run_in(Status.RUNNING)
    release_device()
    waiting, done = queued(), run_in(Status.COMPLETED)
    ids = [str(run.pk) for run in (running, waiting, done)]
    text = page("/runs/act/", {"action": "stop", "run": [*ids, "4711", "x"]})
    assert f"Run {running.pk} is stopping." in text
    assert f"Run {waiting.pk} is stopped." in text
    assert f"Run {done.pk} is completed; there is nothing to stop." in text
    assert "There is no run 4711." in text
    assert "2 runs?" in page("/runs/act/", {"action": "delete", "run": ids[1:]})
    text = page("/runs/act/", {"action": "delete", "run": ids[1:], "confirmed": "1"})
    assert text.count("is deleted") == 2
    assert Run.objects.get() == running


def test_the_list_form_bears_nonsense(operating, page):
    assert "Choose the runs first" in page("/runs/act/", {"action": "stop"})
    page("/runs/act/", {"action": "move", "run": ["1"], "where": "first"}, 400)
    page("/runs/act/", {"action": "stop", "run": [str(number) for number in range(1, 300)]}, 400)


def test_the_list_offers_what_one_may_do_and_says_why_runs_wait(viewing, page):
    queued()
    text = page("/runs/")
    assert "no worker is running" in text
    assert 'name="action"' not in text


def test_the_queue_shows_order_reason_and_what_runs(viewing, page):
    make_worker()
    holder = hold(make_device(), seconds=10.0)
    run = queued(name=WILD)
    text = page("/runs/queue/")
    assert f"cpu:0 is busy with run {holder.pk}, about 15 min left" in text
    assert f'href="/runs/{run.pk}/"' in text
    assert "10 / 100" in text
    assert 'name="where"' not in text
    assert "&lt;script&gt;" in text
    assert "Nothing waits" not in text


def test_the_queue_is_ordered_on_its_page(operating, page):
    first, second = queued(), queued()
    text = page(f"/runs/{second.pk}/act/", {"action": "move", "where": "up", "next": "queue"})
    assert f"Run {second.pk} is number 1 in the queue." in text
    assert "<h1>Queue</h1>" in text
    page(f"/runs/{first.pk}/act/", {"action": "priority", "priority": "2", "next": "queue"})
    assert list(waiting_runs()) == [first, second]
    page(f"/runs/{first.pk}/act/", {"action": "move", "where": "sideways"}, 400)
    page(f"/runs/{first.pk}/act/", {"action": "priority", "priority": "2.5"}, 400)
    page(f"/runs/{first.pk}/act/", {"action": "stop", "next": "queue"})
    assert list(waiting_runs()) == [second]


def test_an_empty_queue_is_a_page_too(viewing, page):
    text = page("/runs/queue/")
    assert "Nothing waits" in text
    assert "No run holds a device" in text


def test_fifty_waiting_runs_cost_a_fixed_number_of_queries(operating, page, django_assert_max_num_queries):
    make_worker()
    hold(make_device(), seconds=1.0)
    for _ in range(50):
        queued()
    with django_assert_max_num_queries(16):
        page("/runs/queue/")


def test_workers_are_shown_with_devices_and_foreign_processes(viewing, page):
    make_worker("gone", age=4000)
    make_worker(version="1.2", clusters=[{"name": "housekeeping", "pid": 7, "device": None, "starts": 3}])
    foreign = {"pid": 99, "name": WILD, "memory_bytes": 2**30, "run_id": None}
    holder = hold(make_device(kind="gpu", memory_bytes=2**34, free_bytes=2**33, processes=[foreign]))
    make_device(kind="gpu", index=1, trouble="fell off the bus")
    text = page("/workers/")
    for fact in ("silent", "alive", "started 3 times", "not ours", "fell off the bus", "8.0 GiB of 16.0 GiB"):
        assert fact in text, fact
    assert f'href="/runs/{holder.pk}/"' in text
    assert "&lt;script&gt;" in text
    assert "1 h 06 min ago" in text
    assert "Drain" not in text


def test_without_workers_the_page_says_how_to_start_one(viewing, page):
    assert "make worker" in page("/workers/")


def test_an_admin_drains_a_worker_and_it_is_written_down(administering, page):
    worker = make_worker()
    assert "Drain the worker of there" in page("/workers/")
    assert "takes no further run" in page(f"/workers/{worker.pk}/drain/", {})
    worker.refresh_from_db()
    assert worker.drain_requested_at is not None
    assert AuditEvent.objects.get(action="worker.drain").actor_name == "administrator"
    assert "being drained already" in page(f"/workers/{worker.pk}/drain/", {})
    assert ">draining<" in page("/workers/")


def test_only_admins_drain(operating, page):
    page(f"/workers/{make_worker().pk}/drain/", {}, 403)
    assert Worker.objects.get().drain_requested_at is None


def test_a_silent_worker_would_not_hear_it():
    with pytest.raises(ConflictError, match="silent"):
        request_drain(make_worker(age=60))


def test_attempts_tell_what_ended_them_and_when_they_were_stopped(viewing, page):
    run = run_in(Status.FAILED)
    now = timezone.now()
    Attempt.objects.update(
        cause="signal", exit_code=-9, adoptions=2, stop_sent_at=now, killed_at=now, finished_at=now
    )
    text = page(f"/runs/{run.pk}/attempts/")
    for fact in ("a signal ended its process", "signal 9", "adopted 2×", "told to stop", "ended by force"):
        assert fact in text, fact


def test_events_tell_what_happened_who_did_it_and_why(client, operating, page):
    run = run_in(Status.RUNNING)
    page(f"/runs/{run.pk}/act/", {"action": "stop"})
    text = page(f"/runs/{run.pk}/attempts/")
    for fact in ("What happened to it", "stop requested", "operator", "claimed for cpu:0", "the system"):
        assert fact in text, fact


def test_the_log_is_kept_as_a_file_with_its_colours(client, viewing):
    run = run_in(Status.RUNNING)
    folder = run.attempt_directory(1)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "log.txt").write_bytes("\x1b[31mrot ü\x1b[0m\n".encode() * 100_000)
    answer = client.get(f"/runs/{run.pk}/log/1/")
    assert answer.headers["Content-Disposition"] == f'attachment; filename="run-{run.pk}-attempt-1.txt"'
    assert b"".join(answer.streaming_content) == (folder / "log.txt").read_bytes()
    assert b"".join(client.get(f"/runs/{run.pk}/log/9/").streaming_content) == b""
    assert client.get("/runs/4711/log/1/").status_code == 404
