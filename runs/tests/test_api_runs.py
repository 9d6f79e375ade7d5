"""The run API: what each route answers, and how it refuses."""

import json

import pytest
from django.utils import timezone

from runs.ingest import ingest_attempt
from runs.models import Attempt, Benchmark, Evaluation, Run
from runs.states import Kind, Status
from runs.tests.support import (
    checkpoint_info,
    evaluation_report,
    finish,
    fresh,
    journal,
    make_dataset,
    make_run,
    run_in,
    sample,
    start,
    write_points,
)

pytestmark = pytest.mark.django_db

ROOT = "/api/training/runs"
READS = ["", "/metrics", "/checkpoints", "/evaluations", "/samples", "/logs", "/attempts"]
CHANGES = ["stop", "start", "resume", "clone"]


@pytest.fixture
def finished(tmp_path):
    """A completed training with points, a checkpoint, an evaluation, samples and a log."""
    attempt = start(make_run(dataset=make_dataset(), name="finished"))
    recorder = journal(attempt)
    for step in range(1, 11):
        recorder.metrics(step, {"train/loss": 1.0 / step, "train/step_time": 0.1})
    recorder.checkpoint(checkpoint_info(tmp_path, 10))
    samples = (sample(), sample(answer=None, correct=False, steps_valid=(False,)))
    recorder.evaluation(evaluation_report(10, samples=samples, final=True))
    recorder.end("completed", step=10, final_loss=0.1, params_hash="a" * 64)
    ingest_attempt(attempt)
    (attempt.run.attempt_directory(1) / "log.txt").write_bytes(
        "first line\nzweite Zeile ü\n\xff".encode() + b"\xff"
    )
    finish(attempt)
    return fresh(attempt.run)


def test_a_run_is_described_with_its_recipe(call, finished):
    said = call("GET", f"{ROOT}/{finished.pk}", 200)
    assert said["id"] == said["run_id"] == finished.pk
    assert said["config"] == finished.config
    assert said["dataset"] == "golden-v2"
    assert said["content_hash"] == finished.dataset.content_hash
    assert (said["status"], said["step"], said["progress_percent"]) == ("completed", 10, 100)
    assert said["url"] == f"/runs/{finished.pk}/"


def test_the_list_is_newest_first_paged_and_filtered(call, finished):
    others = [make_run() for _ in range(3)]
    said = call("GET", ROOT, 200, limit=2)
    assert [item["id"] for item in said["items"]] == [others[2].pk, others[1].pk]
    assert said["count"] == 4
    assert call("GET", ROOT, 200, status="completed")["items"][0]["id"] == finished.pk
    assert call("GET", ROOT, 200, dataset="golden-v2")["count"] == 1
    assert call("GET", ROOT, 200, kind="bench")["count"] == 0
    call("GET", ROOT, 422, status="asleep")
    call("GET", ROOT, 422, limit=0)
    call("GET", ROOT, 422, offset=10**20)


def test_fifty_runs_cost_a_fixed_number_of_queries(call, django_assert_max_num_queries):
    dataset = make_dataset()
    for _ in range(50):
        make_run(dataset=dataset)
    with django_assert_max_num_queries(6):
        assert len(call("GET", ROOT, 200, limit=50)["items"]) == 50


@pytest.mark.parametrize("path", READS)
def test_an_unknown_run_is_named(call, path):
    assert "There is no run 4711" in call("GET", f"{ROOT}/4711{path}", 404)["detail"]


@pytest.mark.parametrize("change", CHANGES)
def test_nobody_changes_an_unknown_run(call, change):
    assert "There is no run 4711" in call("POST", f"{ROOT}/4711/{change}", 404, scope="operate")["detail"]


def test_metrics_have_the_shape_of_the_contract(call, finished):
    said = call("GET", f"{ROOT}/{finished.pk}/metrics", 200)
    assert {"run_id", "status", "cursor", "series"} <= set(said)
    assert said["run_id"] == finished.pk
    assert [series["name"] for series in said["series"]] == ["train/loss", "train/step_time"]
    for series in said["series"]:
        assert {"name", "unit", "total_points", "shown", "non_finite"} <= set(series)
        for column in ("step", "value", "min", "max", "count"):
            assert len(series[column]) == series["shown"] == series["total_points"] == 10
    assert said["series"][0]["value"] == [1.0 / step for step in range(1, 11)]


def test_metrics_are_chosen_bounded_and_followed(call, finished):
    path = f"{ROOT}/{finished.pk}/metrics"
    [series] = call("GET", path, 200, names="train/loss", max_points=3)["series"]
    assert series["shown"] <= 3
    assert series["total_points"] == sum(series["count"]) == 10
    [series] = call("GET", path, 200, names="train/loss", from_step=4, to_step=5)["series"]
    assert series["step"] == [4, 5]
    cursor = call("GET", path, 200)["cursor"]
    write_points(finished, {11: None})
    said = call("GET", path, 200, after=cursor)
    assert not said["reset"]
    [series] = said["series"]
    assert (series["step"], series["value"], series["non_finite"]) == ([11], [None], [11])
    assert call("GET", path, 200, after=said["cursor"])["series"] == []


@pytest.mark.parametrize(
    "query",
    [
        {"after": "yesterday"},
        {"after": "1.x"},
        {"max_points": 0},
        {"max_points": 10**9},
        {"from_step": -1},
        {"to_step": 2**40},
        {"from_step": "x"},
    ],
)
def test_what_no_question_can_mean_is_refused(call, finished, query):
    said = call("GET", f"{ROOT}/{finished.pk}/metrics", 422, **query)
    assert next(iter(query)) in json.dumps(said)


def test_checkpoints_evaluations_and_attempts_are_listed(call, finished, tmp_path):
    [checkpoint] = call("GET", f"{ROOT}/{finished.pk}/checkpoints", 200)
    assert (checkpoint["step"], checkpoint["on_disk"]) == (10, True)
    assert checkpoint["path"] == str(tmp_path / "10")
    [evaluation] = call("GET", f"{ROOT}/{finished.pk}/evaluations", 200)
    assert (evaluation["n"], evaluation["interval"]) == (12, [0.468, 0.911])
    [attempt] = call("GET", f"{ROOT}/{finished.pk}/attempts", 200)
    assert (attempt["number"], attempt["status"], attempt["end_step"]) == (1, "completed", 10)


def test_samples_can_be_filtered_by_verdict(call, finished):
    path = f"{ROOT}/{finished.pk}/samples"
    evaluation = Evaluation.objects.get()
    said = call("GET", path, 200)
    assert (said["evaluation_id"], said["count"]) == (evaluation.pk, 2)
    [wrong] = call("GET", path, 200, verdict="wrong")["items"]
    assert (wrong["answer"], wrong["correct"], wrong["steps_valid"]) == (None, False, [False])
    [right] = call("GET", path, 200, verdict="right", evaluation=evaluation.pk)["items"]
    assert right["generated_text"] == "7+3=0\n#0"
    assert "no evaluation 999" in call("GET", path, 404, evaluation=999)["detail"]
    assert call("GET", f"{ROOT}/{make_run().pk}/samples", 200) == {
        "evaluation_id": None,
        "items": [],
        "count": 0,
    }


def test_the_log_is_read_in_pieces_whatever_bytes_it_holds(call, finished):
    path = f"{ROOT}/{finished.pk}/logs"
    whole = call("GET", path, 200)
    assert whole["text"].startswith("first line\nzweite Zeile ü\n")
    assert whole["offset"] == 0
    assert whole["next_offset"] == whole["size"]
    first = call("GET", path, 200, offset=0, max_bytes=5)
    assert (first["text"], first["next_offset"]) == ("first", 5)
    assert call("GET", path, 200, offset=first["next_offset"], max_bytes=5)["text"] == " line"
    assert call("GET", path, 200, offset=10**9)["text"] == ""
    assert call("GET", path, 200, attempt=7)["size"] == 0
    call("GET", path, 422, max_bytes=2**30)


def test_a_run_is_stopped_and_resumed(call):
    run = run_in(Status.RUNNING)
    assert call("POST", f"{ROOT}/{run.pk}/stop", 200, scope="operate")["status"] == "stopping"
    finish(Attempt.objects.get(), Status.STOPPED)
    assert "nothing to stop" in call("POST", f"{ROOT}/{run.pk}/stop", 409, scope="operate")["detail"]
    said = call("POST", f"{ROOT}/{run.pk}/resume", 200, scope="operate")
    assert (said["status"], said["attempt"]) == ("queued", 2)
    call("POST", f"{ROOT}/{run.pk}/resume", 409, scope="operate")


def test_a_clone_is_started_once(call):
    run = run_in(Status.COMPLETED)
    clone = call("POST", f"{ROOT}/{run.pk}/clone", 201, scope="operate")
    assert (clone["status"], clone["parent_id"]) == ("draft", run.pk)
    assert call("POST", f"{ROOT}/{clone['id']}/start", 200, scope="operate")["status"] == "queued"
    assert "only a draft" in call("POST", f"{ROOT}/{clone['id']}/start", 409, scope="operate")["detail"]


@pytest.mark.parametrize("change", CHANGES)
def test_a_viewer_changes_nothing(call, change):
    run = run_in(Status.RUNNING)
    call("POST", f"{ROOT}/{run.pk}/{change}", 403)
    assert fresh(run).status == Status.RUNNING
    assert Run.objects.count() == 1


def test_a_viewer_starts_nothing(call):
    make_dataset()
    call("POST", ROOT, 403, body={"dataset": "golden-v2"})
    assert not Run.objects.exists()


@pytest.mark.parametrize("path", [*READS, "/stop"])
def test_a_stranger_learns_nothing(client, path):
    method = "POST" if path == "/stop" else "GET"
    assert client.generic(method, f"{ROOT}/1{path}").status_code == 401


@pytest.mark.jax
def test_a_training_is_queued_or_left_a_draft(call):
    dataset = make_dataset()
    body = {"dataset": dataset.address, "device": "cpu", "config": {"model": "nano", "steps": 5}, "name": "n"}
    said = call("POST", ROOT, 201, scope="operate", body=body)
    assert (said["status"], said["total_steps"], said["name"]) == ("queued", 5, "n")
    assert said["config"]["model"] == "nano"
    run = Run.objects.get()
    assert run.owner is not None
    assert run.dataset == dataset
    assert call("POST", ROOT, 201, scope="operate", body=body | {"start": False})["status"] == "draft"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"config": {"learning_rate": -1}}, "learning_rate"),
        ({"config": {"learning_rat": 1}}, "learning_rat"),
        ({"config": {"steps": 10**12}}, "steps"),
        ({"config": {"model": "enormous"}}, "enormous"),
        ({"config": {"final_learning_rate": 9}}, "final_learning_rate"),
        ({"device": "tpu"}, "device"),
        ({"device_index": -1}, "device_index"),
        ({"name": "x" * 301}, "name"),
        ({"surprise": 1}, "surprise"),
        ({"dataset": ""}, "dataset"),
    ],
)
def test_a_bad_field_is_named_and_no_run_is_made(call, change, named):
    make_dataset()
    said = call("POST", ROOT, 422, scope="operate", body={"dataset": "golden-v2", "device": "cpu"} | change)
    assert named in json.dumps(said)
    assert not Run.objects.exists()


def test_an_unknown_dataset_is_named_with_the_next_step(call):
    said = call("POST", ROOT, 404, scope="operate", body={"dataset": "no-such", "device": "cpu"})
    assert "no-such" in said["detail"]
    assert "seed_dataset" in said["detail"]


def test_benchmarks_come_without_their_provenance(call):
    run = run_in(Status.COMPLETED, kind=Kind.BENCH)
    Benchmark.objects.create(
        run=run,
        record={"tokens_per_second": 5.0, "provenance": {"long": 1}},
        device_name="d",
        model="nano",
        batch_size=1,
        sequence_length=16,
        precision="fp32",
        step_time_median=0.1,
        tokens_per_second=5.0,
        created_at=timezone.now(),
    )
    said = call("GET", "/api/training/benchmarks", 200)
    assert said == {"items": [{"tokens_per_second": 5.0}], "count": 1}


def test_devices_are_listed_with_the_run_that_holds_them(call):
    run = run_in(Status.STARTING)
    said = call("GET", "/api/devices", 200)
    assert said["devices"][0]["kind"] == "cpu"
    assert said["devices"][0]["run_id"] == run.pk
    assert "JAX" in said["jax"]
