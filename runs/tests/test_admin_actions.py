"""Start and Stop in the admin, on the list and on the form, for those who may."""

import pytest
from django.contrib.admin import ActionLocation
from django.contrib.admin.sites import site as admin_site
from django.urls import reverse

from runs.models import Run
from runs.states import Kind, Status
from runs.tests.support import fresh, make_dataset, make_run, release_device, run_in
from tunix_site.models import AuditEvent

pytestmark = pytest.mark.django_db

LIST = "admin:runs_run_changelist"
MODELS = ["attempt", "benchmark", "checkpoint", "devicelease", "evaluation", "run", "worker"]


@pytest.fixture
def operating(client, make_user):
    client.force_login(make_user("olga", "operator", is_staff=True))
    return client


@pytest.fixture
def viewing(client, make_user):
    client.force_login(make_user("vera", "viewer", is_staff=True))
    return client


def on_list(client, action: str, *runs: Run) -> str:
    form = {"action": action, "_selected_action": [str(run.pk) for run in runs]}
    return str(client.post(reverse(LIST), form, follow=True).content, "utf-8")


def on_form(client, action: str, run: Run) -> str:
    page = reverse("admin:runs_run_change", args=[run.pk])
    prefix = f"{ActionLocation.CHANGE_FORM.name}-"
    answer = client.post(page, {f"{prefix}action": action, "_selected_action": [str(run.pk)]}, follow=True)
    return str(answer.content, "utf-8")


def test_drafts_are_started_and_interrupted_runs_resumed_from_the_list(operating):
    draft, stopped = make_run(), run_in(Status.STOPPED)
    assert "2 runs queued." in on_list(operating, "start_runs", draft, stopped)
    assert (fresh(draft).status, draft.attempt) == (Status.QUEUED, 1)
    assert (fresh(stopped).status, stopped.attempt) == (Status.QUEUED, 2)
    assert AuditEvent.objects.filter(action="run.queued", actor_name="olga").count() == 2


def test_runs_are_stopped_from_the_list(operating):
    running = run_in(Status.RUNNING)
    release_device()
    queued = run_in(Status.QUEUED)
    assert "2 runs asked to stop." in on_list(operating, "stop_runs", running, queued)
    assert (fresh(running).status, fresh(queued).status) == (Status.STOPPING, Status.STOPPED)


def test_what_cannot_be_done_is_said_and_the_rest_is_done(operating):
    completed, draft = run_in(Status.COMPLETED), make_run()
    text = on_list(operating, "start_runs", completed, draft)
    assert f"Run {completed.pk} (training) is completed" in text
    assert "1 run queued." in text
    assert fresh(draft).status == Status.QUEUED


def test_an_interrupted_benchmark_is_not_resumed(operating):
    bench = run_in(Status.FAILED, kind=Kind.BENCH)
    assert "only a training" in on_list(operating, "start_runs", bench)
    assert fresh(bench).status == Status.FAILED


def test_a_run_is_started_and_stopped_from_its_form(operating):
    run = make_run()
    page = operating.get(reverse("admin:runs_run_change", args=[run.pk]))
    assert b'name="CHANGE_FORM-action"' in page.content
    assert b'name="_save"' not in page.content
    assert "1 run queued." in on_form(operating, "start_runs", run)
    assert fresh(run).status == Status.QUEUED
    assert "1 run asked to stop." in on_form(operating, "stop_runs", run)
    assert fresh(run).status == Status.STOPPED


@pytest.mark.parametrize("action", ["start_runs", "stop_runs"])
def test_a_viewer_is_offered_no_action_and_cannot_force_one(viewing, action):
    run = run_in(Status.RUNNING)
    release_device()
    draft = make_run()
    assert action.encode() not in viewing.get(reverse(LIST)).content
    on_list(viewing, action, run, draft)
    on_form(viewing, action, run)
    assert (fresh(run).status, fresh(draft).status) == (Status.RUNNING, Status.DRAFT)


@pytest.mark.parametrize("model", MODELS)
def test_everything_is_to_be_read_and_nothing_to_be_edited(viewing, model):
    run = run_in(Status.RUNNING, dataset=make_dataset(), name="<b>x</b>")
    answer = viewing.get(reverse(f"admin:runs_{model}_changelist"))
    assert answer.status_code == 200
    assert b"<b>x</b>" not in answer.content
    assert viewing.get(reverse(f"admin:runs_{model}_add")).status_code == 403
    registered = admin_site.get_model_admin(type(run))
    assert registered.actions == ("start_runs", "stop_runs")


def test_fifty_runs_cost_a_fixed_number_of_queries(viewing, django_assert_max_num_queries):
    dataset = make_dataset()
    for _ in range(50):
        make_run(dataset=dataset)
    with django_assert_max_num_queries(15):
        assert viewing.get(reverse(LIST)).status_code == 200
