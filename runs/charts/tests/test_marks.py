"""What happened along a run is told with step, moment and words, and what was overtaken is not."""

import pytest

from runs.charts import marks
from runs.charts.marks import read_marks
from runs.ingest import ingest_attempt
from runs.models import Checkpoint
from runs.states import Status
from runs.tests.support import checkpoint_info, evaluation_report, finish, fresh, journal, make_run, start

pytestmark = pytest.mark.django_db


@pytest.fixture
def resumed(tmp_path):
    """A run that failed at step 30, went on from 20 inexactly and overtook an evaluation."""
    run = make_run(config={"steps": 40})
    first = start(run)
    recorder = journal(first)
    for step in (10, 20):
        recorder.metrics(step, {"train/loss": 1.0})
        recorder.checkpoint(checkpoint_info(tmp_path, step))
    recorder.evaluation(evaluation_report(30))
    ingest_attempt(first)
    finish(first, Status.FAILED)
    second = start(fresh(run))
    recorder = journal(second)
    recorder.resumed(20, "micro_batch 4 → 8")
    recorder.metrics(40, {"train/loss": 0.5})
    recorder.evaluation(evaluation_report(40))
    ingest_attempt(second)
    return fresh(run)


def test_checkpoints_resumes_and_evaluations_are_marked(resumed):
    Checkpoint.objects.filter(step=10).update(removed_at=resumed.created_at)
    found = read_marks(resumed)
    assert [(mark.step, mark.text) for mark in found.checkpoints] == [
        (10, "checkpoint, its files are gone"),
        (20, "checkpoint"),
    ]
    assert [(mark.step, mark.text) for mark in found.resumes] == [
        (20, "attempt 2 goes on from here, not an exact continuation")
    ]
    assert [(mark.step, mark.text) for mark in found.evaluations] == [
        (40, "evaluation: 75.0% of 12 answers right (test)")
    ]
    first = resumed.attempts.order_by("number").first()
    assert found.started_at == first.started_at.timestamp()
    assert found.started_at is not None
    assert found.resumes[0].time >= found.started_at


def test_of_very_many_the_newest_are_given_and_the_rest_counted(resumed, monkeypatch):
    monkeypatch.setattr(marks, "MAX_MARKS", 1)
    found = read_marks(resumed)
    assert [mark.step for mark in found.checkpoints] == [20]
    assert found.left_out == 1


def test_the_route_answers_them(client, token_headers, resumed):
    answer = client.get(f"/api/training/runs/{resumed.pk}/marks", headers=token_headers("read"))
    assert answer.status_code == 200
    told = answer.json()
    assert told["run_id"] == resumed.pk
    assert [mark["step"] for mark in told["evaluations"]] == [40]
    assert client.get("/api/training/runs/4711/marks", headers=token_headers("read")).status_code == 404


def test_the_marks_cost_a_fixed_number_of_queries(client, viewer, resumed, django_assert_max_num_queries):
    for step in range(50):
        Checkpoint.objects.create(
            run=resumed, step=100 + step, attempt=2, size_bytes=1, created_at=resumed.created_at
        )
    client.force_login(viewer)
    with django_assert_max_num_queries(8):
        client.get(f"/api/training/runs/{resumed.pk}/marks")
