"""The first page: what it tells, in which state of the site, to whom, and what it costs."""

import datetime as dt

import pytest
from django.utils import timezone

from runs.home.disk_use import disk_use
from runs.ingest import ingest_attempt
from runs.models import Run
from runs.states import Kind, Status
from runs.tests.control_support import checkpoint_row, hold, make_device, make_worker, queued
from runs.tests.support import (
    evaluation_report,
    finish,
    fresh,
    journal,
    make_dataset,
    make_run,
    run_in,
    start,
)
from tunix_site.tests.pages import inline_code

pytestmark = pytest.mark.django_db

NOW = "/api/training/now"
WILD = "<script>alert(1)</script> \N{RIGHT-TO-LEFT OVERRIDE}שלום 🦜 {{ name }}" + "x" * 240
SEED = "seed_dataset --dataset chain-v1"
WORKER = "make worker"
TRAIN = "manage.py train --dataset"


@pytest.fixture
def home(client, operator):
    client.force_login(operator)

    def read():
        answer = client.get("/")
        assert answer.status_code == 200
        text = answer.content.decode()
        assert inline_code(text) == []
        return text

    return read


def ended(status: Status = Status.COMPLETED, **facts):
    run = run_in(status, **facts)
    Run.objects.filter(pk=run.pk).update(finished_at=timezone.now())
    return fresh(run)


def now_step(text):
    """The step of the way that is the next one."""
    return text.partition('aria-current="step"')[2].partition("</li>")[0]


def test_an_empty_installation_names_the_commands_in_order(home):
    text = home()
    assert text.index(SEED) < text.index(f"<code>{WORKER}") < text.index(TRAIN)
    assert SEED in now_step(text)


def test_each_step_that_is_done_leads_to_the_next(home):
    make_dataset()
    text = home()
    assert SEED not in text
    assert WORKER in now_step(text)
    make_worker()
    assert f"{TRAIN} golden-v2" in now_step(home())
    hold(make_device())
    assert "home-steps" not in home()


def test_a_run_that_waits_for_a_worker_brings_the_command_that_starts_one(home):
    queued(dataset=make_dataset())
    text = home()
    assert WORKER in now_step(text)
    assert "nothing that waits can start" in text


def test_a_site_that_trained_before_shows_no_steps(home):
    ended(dataset=make_dataset())
    assert "home-steps" not in home()


def test_a_viewer_sees_what_is_missing_and_no_command_to_operate(client, viewer):
    client.force_login(viewer)
    text = client.get("/").content.decode()
    assert "for an operator" in text
    for command in (SEED, WORKER, TRAIN):
        assert command not in text


def test_a_person_without_a_role_reads_whom_to_ask_for_which(client, make_user):
    client.force_login(make_user("newcomer"))
    answer = client.get("/")
    text = answer.content.decode()
    assert answer.status_code == 403
    for fact in ("newcomer", "administrator", "viewer", "Sign out"):
        assert fact in text
    assert "/runs/" not in text


def test_login_leads_to_the_first_page_and_it_is_in_the_navigation(home, client):
    assert '<a href="/" aria-current="page">Home</a>' in home()
    assert '<a href="/">Home</a>' in client.get("/runs/").content.decode()


def test_what_runs_shows_progress_phase_device_and_time_left(home):
    make_worker()
    run = hold(make_device(), step=40, steps=100, seconds=60.0)
    Run.objects.filter(pk=run.pk).update(phase="training", heartbeat_at=timezone.now())
    text = home()
    for fact in (f"Run {run.pk}", "training", 'value="40"', "about 1 h 00 min left", "cpu:0"):
        assert fact in text


def test_what_waits_says_why_and_how_many_more_there_are(home):
    make_worker()
    make_device()
    for _ in range(9):
        queued()
    text = home()
    assert "cpu:0 is free; about to be handed to it" in text
    assert "1 run goes first" in text
    assert "The whole queue" in text
    assert "9 waiting" in text


def test_devices_show_holder_trouble_and_foreign_processes(home):
    make_worker()
    busy = make_device(kind="gpu", name="H100", processes=[{"pid": 7, "name": "x", "run_id": None}])
    run = hold(busy)
    make_device(kind="gpu", index=1, name="H100", usable=False, trouble="the driver does not answer")
    make_device()
    text = home()
    assert f'held by <a href="/runs/{run.pk}/">' in text
    assert "1 process that is not ours" in text
    assert "the driver does not answer" in text
    assert "1 of 3 devices free" in text


def test_newest_results_show_accuracy_or_the_reason_of_a_failure(home):
    attempt = start(make_run(dataset=make_dataset(), name="good"))
    journal(attempt).evaluation(evaluation_report(10, final=True))
    ingest_attempt(attempt)
    finish(attempt)
    failed = ended(Status.FAILED, name="bad")
    Run.objects.filter(pk=failed.pk).update(reason="out of memory at step 3")
    text = home()
    assert "75.0 %" in text
    assert "n = 12" in text
    assert "out of memory at step 3" in text
    assert text.index("bad") < text.index("good")


def test_archived_runs_and_their_results_stay_out(home):
    run = ended(name="put away")
    Run.objects.filter(pk=run.pk).update(archived_at=timezone.now())
    assert "put away" not in home()


def test_imported_histories_are_no_results_of_this_site(home):
    run = ended(name="from elsewhere")
    Run.objects.filter(pk=run.pk).update(kind=Kind.IMPORTED)
    assert "from elsewhere" not in home()


def test_names_of_any_kind_are_shown_as_text(home):
    make_worker()
    run = hold(make_device())
    Run.objects.filter(pk=run.pk).update(name=WILD)
    ended(name=WILD)
    queued(name=WILD)
    text = home()
    assert "<script>alert" not in text
    assert text.count("&lt;script&gt;alert") == 3


def test_a_silent_run_is_called_silent(home):
    make_worker()
    run = hold(make_device())
    Run.objects.filter(pk=run.pk).update(heartbeat_at=timezone.now() - dt.timedelta(minutes=5))
    assert "no sign of life since" in home()


def test_a_full_site_costs_a_dozen_queries(home, django_assert_max_num_queries, tmp_path):
    dataset = make_dataset()
    for host in ("one", "two"):
        make_worker(host)
        for index in range(3):
            hold(make_device(host, index=index), seconds=1.0)
    for _ in range(12):
        queued(dataset=dataset)
    for number in range(12):
        attempt = ended(dataset=dataset, name=f"run {number}")
        checkpoint_row(attempt, tmp_path / str(number), 5)
    disk_use()
    with django_assert_max_num_queries(12):
        home()


def test_the_poll_is_small_and_tells_when_the_page_must_be_drawn_anew(
    client, home, django_assert_max_num_queries
):
    def poll():
        answer = client.get(NOW)
        assert answer.status_code == 200
        return answer

    idle = poll()
    assert len(idle.content) < 300
    make_worker()
    run = hold(make_device(), step=3, steps=9)
    with django_assert_max_num_queries(10):
        busy = poll()
    facts = busy.json()
    assert facts["running"][0] | {"left": "", "phase": ""} == {
        "run_id": run.pk,
        "status": "running",
        "phase": "",
        "step": 3,
        "total_steps": 9,
        "left": "",
    }
    assert facts["mark"] != idle.json()["mark"]
    Run.objects.filter(pk=run.pk).update(step=4)
    assert poll().json()["mark"] == facts["mark"]
    queued()
    assert poll().json()["mark"] != facts["mark"]


def test_the_mark_of_the_poll_is_that_of_the_page(client, home):
    make_worker()
    hold(make_device())
    ended()
    mark = client.get(NOW).json()["mark"]
    assert f'data-mark="{mark}"' in home()
