"""The list by the API and as files: search, order, states of many, tags, CSV and JSON lines."""

import csv
import io
import json

import pytest
from django.utils import timezone

from runs.listing.export import as_jsonl
from runs.listing.organising import archive, change_tags, tags_of
from runs.listing.search import search_runs
from runs.models import Evaluation, Run
from runs.states import Status
from runs.tests.control_support import queued
from runs.tests.support import fresh, make_dataset, make_run
from training.config import TrainConfig

pytestmark = pytest.mark.django_db

ROOT = "/api/training/runs"


@pytest.fixture
def trained():
    run = make_run(dataset=make_dataset(), name="trained", config={"learning_rate": 5e-4})
    row = Evaluation.objects.create(
        run=run, made_by=run, attempt=1, step=4, split="test", n=8, correct=6, answer_accuracy=0.75, loss=0.5,
        interval_low=0.4, interval_high=0.9, seconds=1, generated_tokens=1, created_at=timezone.now(),
    )  # fmt: skip
    Run.objects.filter(pk=run.pk).update(
        status=Status.RUNNING, step=4, last_loss=0.5, tokens_per_second=1000.0, step_seconds=2.0,
        checkpoint_bytes=2048, best_evaluation=row, started_at=timezone.now(),
    )  # fmt: skip
    change_tags(run, add=["b", "a"])
    return fresh(run)


def test_runs_are_searched_and_sorted_as_on_the_page(call, trained):
    other = make_run(name="other")
    put_away = archive(make_run(name="put away"))
    found = call("GET", ROOT, 200, q="lr<1e-3 tag:a")
    assert [item["id"] for item in found["items"]] == [trained.pk]
    assert found["count"] == 1
    assert [item["id"] for item in call("GET", ROOT, 200, sort="run")["items"]] == [
        trained.pk, other.pk, put_away.pk,
    ]  # fmt: skip
    assert call("GET", ROOT, 200, q="archived:any", sort="-loss")["count"] == 3
    assert call("GET", ROOT, 200, q="other", status="draft", limit=1)["count"] == 1
    assert "Did you mean" in call("GET", ROOT, 422, q="stauts:x")["detail"]
    assert "cannot be sorted" in call("GET", ROOT, 422, sort="moon")["detail"]


def test_a_run_tells_what_lists_show(call, trained):
    for said in (call("GET", ROOT, 200)["items"][0], call("GET", f"{ROOT}/{trained.pk}", 200)):
        assert said["tags"] == ["a", "b"]
        assert (said["last_loss"], said["tokens_per_second"], said["step_seconds"]) == (0.5, 1000.0, 2.0)
        assert (said["parameters"], said["checkpoint_bytes"], said["archived"]) == (49_888, 2048, False)
        assert said["eta_seconds"] == 12.0
        best = said["best_evaluation"]
        assert (best["step"], best["n"], best["answer_accuracy"]) == (4, 8, 0.75)
        assert best["interval"] == [0.4, 0.9]
    bare = call("GET", f"{ROOT}/{make_run().pk}", 200)
    assert (bare["best_evaluation"], bare["eta_seconds"], bare["tags"]) == (None, None, [])


def test_states_of_many_come_in_one_answer_and_shortly_when_nothing_changed(call, trained):
    waiting = queued()
    said = call("GET", f"{ROOT}/states", 200, ids=f"{waiting.pk},{trained.pk},4711")
    assert [one["id"] for one in said["runs"]] == [trained.pk, waiting.pk]
    first, second = said["runs"]
    assert (first["status"], first["step"], first["eta_seconds"], first["alive"]) == (
        "running",
        4,
        12.0,
        True,
    )
    assert (first["accuracy"], first["evaluation_n"], first["interval"]) == (0.75, 8, [0.4, 0.9])
    assert "no worker" in second["waiting"]
    again = call("GET", f"{ROOT}/states", 200, ids=f"{waiting.pk},{trained.pk}", after=said["cursor"])
    assert again == {"cursor": said["cursor"], "new": 0, "runs": []}
    assert len(json.dumps(again)) < 100
    Run.objects.filter(pk=trained.pk).update(step=5)
    moved = call("GET", f"{ROOT}/states", 200, ids=f"{waiting.pk},{trained.pk}", after=said["cursor"])
    assert moved["runs"][0]["step"] == 5


def test_new_runs_are_counted_where_they_fit(call, trained):
    make_run(name="later")
    asked = {"ids": str(trained.pk), "newer_than": trained.pk}
    assert call("GET", f"{ROOT}/states", 200, **asked)["new"] == 1
    assert call("GET", f"{ROOT}/states", 200, **asked, q="name:later")["new"] == 1
    assert call("GET", f"{ROOT}/states", 200, **asked, q="status:running")["new"] == 0
    assert call("GET", f"{ROOT}/states", 200, ids="")["runs"] == []


@pytest.mark.parametrize("query", [{"ids": "x"}, {"ids": "1,-2"}, {"ids": ",".join(["1"] * 201)}, {}])
def test_states_of_nonsense_are_refused(call, query):
    call("GET", f"{ROOT}/states", 422, **query)


def test_tags_are_changed_by_operators(call, trained):
    path = f"{ROOT}/{trained.pk}/tags"
    call("POST", path, 403, body={"add": ["x"]})
    said = call("POST", path, 200, scope="operate", body={"add": ["x", "paper/1"], "remove": ["a"]})
    assert said["tags"] == ["b", "paper/1", "x"]
    assert "is no tag" in call("POST", path, 422, scope="operate", body={"add": ["no space"]})["detail"]
    call("POST", path, 422, scope="operate", body={"adds": []})
    call("POST", f"{ROOT}/4711/tags", 404, scope="operate", body={"add": ["x"]})
    assert tags_of(fresh(trained)) == ["b", "paper/1", "x"]


def test_runs_are_archived_by_their_route(call):
    run = make_run()
    assert call("POST", f"{ROOT}/{run.pk}/archive", 200, scope="operate")["archived"]
    assert not call("POST", f"{ROOT}/{run.pk}/unarchive", 200, scope="operate")["archived"]


def downloaded(client, form: str, /, **query: str) -> str:
    answer = client.get(f"/runs/export.{form}", query_params=query)
    assert answer.status_code == 200
    assert answer.streaming
    assert answer.headers["Content-Disposition"] == f'attachment; filename="runs.{form}"'
    return b"".join(answer.streaming_content).decode()


def test_the_filtered_runs_are_downloaded_with_every_column(client, viewer, trained):
    client.force_login(viewer)
    make_run(name="another")
    rows = list(csv.DictReader(io.StringIO(downloaded(client, "csv", q="tag:a"))))
    assert [row["name"] for row in rows] == ["trained"]
    row = rows[0]
    assert (row["id"], row["status"], row["tags"], row["last_loss"]) == (
        str(trained.pk),
        "running",
        "a b",
        "0.5",
    )
    assert (row["best_answer_accuracy"], row["best_n"], row["dataset"]) == ("0.75", "8", "golden-v2")
    assert row["config.learning_rate"] == "0.0005"
    assert {f"config.{name}" for name in TrainConfig.model_fields} <= set(row)
    lines = [json.loads(line) for line in downloaded(client, "jsonl", sort="run").splitlines()]
    assert [line["name"] for line in lines] == ["trained", "another"]
    assert lines[0]["tags"] == ["a", "b"]
    assert lines[0]["config"]["learning_rate"] == 0.0005
    assert lines[1]["last_loss"] is None


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "\nx", "|calc"])
def test_a_spreadsheet_finds_no_formula_in_what_people_wrote(client, viewer, name):
    client.force_login(viewer)
    run = make_run(name=name)
    Run.objects.filter(pk=run.pk).update(notes=name, last_loss=-1.5)
    row = next(csv.DictReader(io.StringIO(downloaded(client, "csv"), newline="")))
    assert row["name"] == row["notes"] == f"'{name}"
    # A number stays one.
    assert row["last_loss"] == "-1.5"
    assert json.loads(downloaded(client, "jsonl"))["name"] == name


def test_an_export_of_nonsense_says_so_and_only_what_there_is_can_be_asked_for(client, viewer):
    client.force_login(viewer)
    answer = client.get("/runs/export.csv", {"q": "stauts:x"})
    assert (answer.status_code, answer.headers["Content-Type"]) == (422, "text/plain; charset=utf-8")
    assert client.get("/runs/export.csv", {"sort": "moon"}).status_code == 422
    assert client.get("/runs/export.xlsx").status_code == 404
    assert client.post("/runs/export.csv").status_code == 405


def test_an_export_costs_a_few_queries_however_many_runs_there_are(django_assert_num_queries):
    data = make_dataset()
    for _ in range(30):
        change_tags(make_run(dataset=data), add=["x"])
    with django_assert_num_queries(1):
        assert len(list(as_jsonl(search_runs("").order_by("pk")))) == 30
