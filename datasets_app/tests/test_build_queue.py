"""Large builds: queued on the housekeeping cluster, with progress, harmless when delivered twice."""

from datetime import timedelta

import pytest
from django.utils import timezone
from django_q.models import OrmQ

from datasets_app import builds
from datasets_app.build_request import BuildRequest
from datasets_app.builds import build_task, enqueue_build, is_large, run_queued_build
from datasets_app.models import BuildTask, Dataset
from datasets_app.services import store_handed_in
from datasets_app.tasks import run_build
from datasets_app.traces import make_trace
from tunix_site.errors import InvalidInputError, NotFoundError
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
