"""Large builds: queued on the housekeeping cluster, with progress, harmless when delivered twice."""

from datetime import timedelta

import pytest
from django.utils import timezone
from django_q.models import OrmQ

from datasets_app import builds
from datasets_app.build_request import BuildRequest
from datasets_app.builds import build_task, cancel_build, enqueue_build, is_large, run_queued_build
from datasets_app.models import BuildTask, Dataset, DatasetTrace, Trace
from datasets_app.services import store_handed_in
from datasets_app.tasks import run_build
from datasets_app.traces import make_trace
from tunix_site.errors import ConflictError, InvalidInputError, NotFoundError
from tunix_site.models import AuditEvent

pytestmark = pytest.mark.django_db

LARGE = BuildRequest(dataset_name="chain", count=10_001)


def queued(**request) -> BuildTask:
    return enqueue_build(request=BuildRequest.model_validate(request))


def test_more_than_ten_thousand_traces_are_large():
    assert not is_large(BuildRequest(dataset_name="chain", count=10_000))
    assert is_large(LARGE)
    with pytest.raises(InvalidInputError):
        is_large(BuildRequest(dataset_name="golden", count=6))


def test_a_choice_is_as_large_as_what_is_stored_and_its_limit(monkeypatch):
    monkeypatch.setattr(builds, "LARGEST_AT_ONCE", 2)
    records = [make_trace(prompt=f"p{number}", steps=[], final_answer="a") for number in range(3)]
    store_handed_in(traces=[(record, "", "", "") for record in records])
    assert is_large(BuildRequest.model_validate({"dataset_name": "mine", "filters": {}}))
    assert not is_large(BuildRequest(dataset_name="mine", limit=2))


def test_a_large_build_waits_on_the_housekeeping_cluster(operator):
    task = enqueue_build(request=LARGE, actor=operator)
    assert (task.status, task.total, task.requested_by) == ("queued", 10_001, operator)
    waiting = OrmQ.objects.get()
    assert waiting.key == "housekeeping"
    assert (waiting.func(), waiting.task["args"]) == ("datasets_app.tasks.run_build", (task.pk,))
    assert AuditEvent.objects.get(action="dataset.enqueue_build").actor == operator


def test_a_queued_build_is_carried_out():
    task = queued(dataset_name="golden", dataset_version="v2", count=20)
    run_build(task.pk)
    task.refresh_from_db()
    assert (task.status, task.done, task.total, task.created) == ("completed", 20, 20, True)
    assert task.dataset == Dataset.objects.get()
    assert task.finished_at


def test_progress_is_seen_while_it_runs(monkeypatch):
    monkeypatch.setattr("datasets_app.publishing.BATCH", 10)
    task = queued(dataset_name="golden", dataset_version="v2", count=30)
    real, seen = builds.build, []

    def watched(*, request, actor, progress):
        def tell(done: int, total: int) -> None:
            progress(done, total)
            now = BuildTask.objects.get(pk=task.pk)
            seen.append((now.status, now.done, now.total))

        return real(request=request, actor=actor, progress=tell)

    monkeypatch.setattr(builds, "build", watched)
    run_queued_build(task_id=task.pk)
    assert ("running", 10, 30) in seen
    assert ("running", 20, 30) in seen


def test_a_second_delivery_changes_nothing():
    task = queued(dataset_name="golden", dataset_version="v2", count=20)
    run_queued_build(task_id=task.pk)
    before = BuildTask.objects.values().get(pk=task.pk)
    run_queued_build(task_id=task.pk)
    assert BuildTask.objects.values().get(pk=task.pk) == before
    BuildTask.objects.filter(pk=task.pk).update(status="running", heartbeat_at=timezone.now())
    run_queued_build(task_id=task.pk)
    assert BuildTask.objects.get(pk=task.pk).status == "running", "it is alive elsewhere"


def test_a_build_without_a_sign_of_life_is_lost_and_may_be_taken_over():
    task = queued(dataset_name="golden", dataset_version="v2", count=20)
    silent = timezone.now() - BuildTask.SILENT_AFTER - timedelta(seconds=1)
    BuildTask.objects.filter(pk=task.pk).update(status="running", heartbeat_at=silent)
    assert build_task(task_id=task.pk).is_silent
    run_queued_build(task_id=task.pk)
    assert build_task(task_id=task.pk).status == "completed"


def test_a_build_that_fails_says_why():
    task = queued(dataset_name="mine", filters={"source": "nobody"})
    run_queued_build(task_id=task.pk)
    task.refresh_from_db()
    assert task.status == "failed"
    assert "no stored trace fits" in task.error
    assert task.dataset is None


def test_an_unforeseen_failure_is_kept_from_the_reader_and_raised_for_the_log(monkeypatch):
    task = queued(dataset_name="golden", dataset_version="v2", count=20)

    def broken(**_: object) -> None:
        raise RuntimeError("secret path")

    monkeypatch.setattr(builds, "build", broken)
    with pytest.raises(RuntimeError):
        run_queued_build(task_id=task.pk)
    task.refresh_from_db()
    assert (task.status, "secret" in task.error) == ("failed", False)


def test_an_unknown_build_is_not_found():
    with pytest.raises(NotFoundError, match="There is no build 7"):
        build_task(task_id=7)


@pytest.fixture
def cancelled_at(monkeypatch):
    """Let builds be cancelled by somebody else when so many traces are written."""
    monkeypatch.setattr("datasets_app.publishing.BATCH", 10)
    real = builds.build

    def arrange(task: BuildTask, at: int) -> None:
        def watched(*, request, actor, progress):
            def tell(done: int, total: int) -> None:
                if done == at and total:
                    cancel_build(task_id=task.pk)
                progress(done, total)

            return real(request=request, actor=actor, progress=tell)

        monkeypatch.setattr(builds, "build", watched)

    return arrange


def test_a_waiting_build_is_cancelled_at_once_and_never_begins(operator):
    task = queued(dataset_name="golden", dataset_version="v2", count=20)
    assert cancel_build(task_id=task.pk, actor=operator).status == "cancelled"
    run_queued_build(task_id=task.pk)
    task.refresh_from_db()
    assert (task.status, task.error) == ("cancelled", "Cancelled. Nothing was changed.")
    assert task.finished_at
    assert not Trace.objects.exists()
    assert AuditEvent.objects.get(action="dataset.cancel_build").actor == operator


@pytest.mark.parametrize("at", [0, 10, 30])
def test_a_running_build_ends_at_its_next_batch_and_leaves_nothing(cancelled_at, at):
    kept = builds.build(request=BuildRequest(dataset_name="golden", dataset_version="v2", count=10)).dataset
    task = queued(dataset_name="golden", dataset_version="v2", count=30)
    cancelled_at(task, at)
    run_queued_build(task_id=task.pk)
    task.refresh_from_db()
    assert (task.status, task.cancel_asked, task.dataset) == ("cancelled", True, None)
    assert list(Dataset.objects.all()) == [kept]
    assert (DatasetTrace.objects.count(), Trace.objects.count()) == (10, 10)
    run_queued_build(task_id=task.pk)
    assert build_task(task_id=task.pk).status == "cancelled", "another delivery does not revive it"


def test_a_running_build_may_be_cancelled_twice_but_an_ended_one_not_again(cancelled_at):
    task = queued(dataset_name="golden", dataset_version="v2", count=20)
    BuildTask.objects.filter(pk=task.pk).update(status="running", heartbeat_at=timezone.now())
    assert cancel_build(task_id=task.pk).status == "running"
    assert cancel_build(task_id=task.pk).cancel_asked
    BuildTask.objects.filter(pk=task.pk).update(status="cancelled")
    with pytest.raises(ConflictError, match=rf"Build {task.pk} has ended \(cancelled\)"):
        cancel_build(task_id=task.pk)
    assert AuditEvent.objects.filter(action="dataset.cancel_build").count() == 2


@pytest.mark.parametrize("known", [False, True])
def test_a_build_that_publishes_is_no_longer_cancelled(monkeypatch, known):
    if known:
        builds.build(request=BuildRequest(dataset_name="golden", dataset_version="v2", count=20))
    task = queued(dataset_name="golden", dataset_version="v2", count=20)
    refused = []

    def finishing(_result: object) -> None:
        with pytest.raises(ConflictError, match=f"Build {task.pk} is being published") as error:
            cancel_build(task_id=task.pk)
        refused.append(error)

    monkeypatch.setattr("datasets_app.services.finish", finishing)
    run_queued_build(task_id=task.pk)
    task.refresh_from_db()
    assert refused
    assert (task.status, task.cancel_asked, task.created) == ("completed", False, not known)
    assert not AuditEvent.objects.filter(action="dataset.cancel_build").exists()


def test_a_build_lost_while_it_published_does_not_claim_that_nothing_was_changed():
    task = queued(dataset_name="golden", dataset_version="v2", count=20)
    silent = timezone.now() - BuildTask.SILENT_AFTER - timedelta(seconds=1)
    BuildTask.objects.filter(pk=task.pk).update(status="running", heartbeat_at=silent, done=20, total=20)
    cancelled = cancel_build(task_id=task.pk)
    assert (cancelled.status, cancelled.error) == ("cancelled", builds.CANCELLED_LATE)


def test_a_lost_build_is_cancelled_at_once():
    task = queued(dataset_name="golden", dataset_version="v2", count=20)
    silent = timezone.now() - BuildTask.SILENT_AFTER - timedelta(seconds=1)
    BuildTask.objects.filter(pk=task.pk).update(status="running", heartbeat_at=silent)
    assert cancel_build(task_id=task.pk).status == "cancelled"


def test_the_api_cancels_builds(client, token_headers):
    task = queued(dataset_name="golden", dataset_version="v2", count=20)
    url = f"/api/datasets/build/{task.pk}/cancel"
    assert client.post(url, headers=token_headers("read")).status_code == 403
    operate = token_headers("operate")
    answer = client.post(url, headers=operate)
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    again = client.post(url, headers=operate)
    assert (again.status_code, again.json()["detail"]) == (409, f"Build {task.pk} has ended (cancelled).")
    assert client.post("/api/datasets/build/999/cancel", headers=operate).status_code == 404
