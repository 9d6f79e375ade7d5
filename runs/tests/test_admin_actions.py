"""Every verb in the admin, on the list and on the form, for those who may."""

from pathlib import Path

import pytest
from django.contrib.admin import ActionLocation
from django.contrib.admin.sites import site as admin_site
from django.urls import reverse

from runs.models import Run
from runs.queueing import waiting_runs
from runs.states import Kind, Status
from runs.tests.control_support import checkpoint_row, queued
from runs.tests.support import fresh, make_dataset, make_run, release_device, run_in
from runs.verbs import VERBS
from tunix_site.models import AuditEvent
from tunix_site.roles import covers
from tunix_site.tests.pages import inline_code

pytestmark = pytest.mark.django_db

LIST = "admin:runs_run_changelist"
OF_RUNS = [verb for verb in VERBS.values() if not verb.of_checkpoint]
MODELS = ["attempt", "benchmark", "checkpoint", "devicelease", "evaluation", "hostdevice", "run", "worker"]


@pytest.fixture
def operating(client, make_user):
    client.force_login(make_user("olga", "operator", is_staff=True))
    return client


@pytest.fixture
def viewing(client, make_user):
    client.force_login(make_user("vera", "viewer", is_staff=True))
    return client


@pytest.fixture
def administering(client, make_user):
    client.force_login(make_user("ada", "admin", is_staff=True))
    return client


def on_list(client, action: str, *runs: Run, **more: str) -> str:
    form = {"action": action, "_selected_action": [str(run.pk) for run in runs], **more}
    return str(client.post(reverse(LIST), form, follow=True).content, "utf-8")


def on_form(client, action: str, run: Run, **more: str) -> str:
    page = reverse("admin:runs_run_change", args=[run.pk])
    prefix = f"{ActionLocation.CHANGE_FORM.name}-"
    form = {f"{prefix}action": action, "_selected_action": [str(run.pk)], **more}
    answer = client.post(page, form, follow=True)
    return str(answer.content, "utf-8")


def test_drafts_are_started_from_the_list(operating):
    drafts = [make_run(), make_run()]
    text = on_list(operating, "start", *drafts)
    for draft in drafts:
        assert f"Run {draft.pk} is queued." in text
        assert (fresh(draft).status, draft.attempt) == (Status.QUEUED, 1)
    assert AuditEvent.objects.filter(action="run.queued", actor_name="olga").count() == 2


def test_interrupted_runs_are_resumed_and_requeued_from_the_list(operating):
    stopped, bench = run_in(Status.STOPPED), run_in(Status.FAILED, kind=Kind.BENCH)
    assert f"Run {stopped.pk} is queued." in on_list(operating, "resume", stopped)
    assert f"Run {bench.pk} is queued." in on_list(operating, "requeue", bench)
    assert (fresh(stopped).attempt, fresh(bench).attempt) == (2, 2)


def test_runs_are_stopped_from_the_list(operating):
    running = run_in(Status.RUNNING)
    release_device()
    queued = run_in(Status.QUEUED)
    assert f"Run {running.pk} is stopping." in on_list(operating, "stop", running, queued)
    assert (fresh(running).status, fresh(queued).status) == (Status.STOPPING, Status.STOPPED)


def test_what_cannot_be_done_is_said_and_the_rest_is_done(operating):
    completed, draft = run_in(Status.COMPLETED), make_run()
    text = on_list(operating, "start", completed, draft)
    assert f"Run {completed.pk} is completed; only a draft" in text
    assert f"Run {draft.pk} is queued." in text
    assert fresh(draft).status == Status.QUEUED


def test_an_interrupted_benchmark_is_not_resumed(operating):
    bench = run_in(Status.FAILED, kind=Kind.BENCH)
    assert "only a training" in on_list(operating, "resume", bench)
    assert fresh(bench).status == Status.FAILED


def test_a_run_is_started_and_stopped_from_its_form(operating):
    run = make_run()
    page = operating.get(reverse("admin:runs_run_change", args=[run.pk]))
    assert b'name="CHANGE_FORM-action"' in page.content
    assert b'name="_save"' not in page.content
    assert f"Run {run.pk} is queued." in on_form(operating, "start", run)
    assert fresh(run).status == Status.QUEUED
    assert f"Run {run.pk} is stopped." in on_form(operating, "stop", run)
    assert fresh(run).status == Status.STOPPED


@pytest.mark.parametrize("way", [on_list, on_form])
def test_what_loses_something_asks_first(administering, way):
    run = run_in(Status.LOST)
    text = way(administering, "delete", run)
    assert "gone for good" in text
    assert inline_code(text) == []
    assert fresh(run).status == Status.LOST
    assert f"Run {run.pk} is deleted" in way(administering, "delete", run, confirmed="1")
    assert not Run.objects.exists()


def test_the_queue_is_ordered_from_the_list(operating):
    runs = [queued() for _ in range(3)]
    assert "Where to" in on_list(operating, "move", runs[2])
    assert "number 1 in the queue" in on_list(operating, "move", runs[2], confirmed="1", where="first")
    assert list(waiting_runs()) == [runs[2], runs[0], runs[1]]
    assert "priority 7" in on_list(operating, "priority", runs[1], confirmed="1", priority="7")
    assert waiting_runs().first() == runs[1]
    assert "no whole number" in on_list(operating, "priority", runs[1], confirmed="1", priority="x")
    assert "no place" in on_list(operating, "move", runs[1], confirmed="1", where="away")


def test_checkpoints_are_pinned_and_forked_from_their_list(operating):
    run = run_in(Status.COMPLETED, config={"steps": 20})
    row = checkpoint_row(run, Path(run.checkpoint_dir), 5)
    form = {"_selected_action": [str(row.pk)]}
    address = reverse("admin:runs_checkpoint_changelist")
    for action in ("pin", "unpin", "fork"):
        operating.post(address, {**form, "action": action})
    done = AuditEvent.objects.filter(target_id=run.pk, actor_name="olga").values_list("action", flat=True)
    assert {"checkpoint.pinned", "checkpoint.unpinned", "run.forked"} <= set(done)
    assert Run.objects.get(parent=run).parent_step == 5


@pytest.mark.parametrize(
    "verb", [verb for verb in VERBS.values() if not verb.of_checkpoint], ids=lambda verb: verb.name
)
@pytest.mark.parametrize("role", ["viewer", "operator", "admin"])
def test_each_role_is_offered_what_it_may_do_and_can_force_nothing_else(client, make_user, verb, role):
    client.force_login(make_user("someone", role, is_staff=True))
    run = run_in(next(status for status in Status if status in verb.states and status != Status.STOPPING))
    before = AuditEvent.objects.count()
    covered = covers({"viewer": "read", "operator": "operate", "admin": "admin"}[role], verb.scope)
    page = str(client.get(reverse(LIST)).content, "utf-8")
    assert (f'<option value="{verb.name}">' in page) == covered
    more = {"confirmed": "1", "where": "first", "priority": "1"}
    for way in (on_list, on_form):
        if not covered:
            way(client, verb.name, run, **more)
    assert AuditEvent.objects.count() == before
    assert fresh(run)


@pytest.mark.parametrize("model", MODELS)
def test_everything_is_to_be_read_and_nothing_to_be_edited(viewing, model):
    run = run_in(Status.RUNNING, dataset=make_dataset(), name="<b>x</b>")
    answer = viewing.get(reverse(f"admin:runs_{model}_changelist"))
    assert answer.status_code == 200
    assert b"<b>x</b>" not in answer.content
    assert viewing.get(reverse(f"admin:runs_{model}_add")).status_code == 403
    registered = admin_site.get_model_admin(type(run))
    assert [getattr(one, "__name__", one) for one in registered.actions or ()] == [
        verb.name for verb in OF_RUNS
    ]


def test_fifty_runs_cost_a_fixed_number_of_queries(viewing, django_assert_max_num_queries):
    dataset = make_dataset()
    for _ in range(50):
        make_run(dataset=dataset)
    with django_assert_max_num_queries(15):
        assert viewing.get(reverse(LIST)).status_code == 200
