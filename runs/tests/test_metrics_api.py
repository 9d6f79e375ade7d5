"""Metrics over the API: what each bucket says, curves of several runs at once, and every point as a file."""

import csv
import io
import json

import pytest

from runs.metrics.export import rearmed
from runs.metrics.rollups import overtake
from runs.models import MetricPoint, Run
from runs.tests.support import make_run, write_points

pytestmark = pytest.mark.django_db

RUNS = "/api/training/runs"
OVERLAY = "/api/training/metrics"


@pytest.fixture
def ask(client, token_headers):
    headers = token_headers("read")

    def send(path: str, *, status: int = 200, **query: object):
        answer = client.get(path, query_params=query, headers=headers)
        assert answer.status_code == status, answer.content
        return answer

    return send


@pytest.fixture
def run():
    run = make_run(name="first")
    write_points(run, {step: float(step % 10) for step in range(100)} | {50: None, 99: None})
    return run


def moments(run: Run) -> dict[int, float]:
    return {point.step: point.at.timestamp() for point in MetricPoint.objects.filter(run=run)}


def test_a_bucket_tells_its_last_value_and_moment_and_counts_what_is_not_finite(ask, run):
    [series] = ask(f"{RUNS}/{run.pk}/metrics", max_points=4).json()["series"]
    assert series["step"] == [31, 63, 95, 99]
    assert series["last"] == [1.0, 3.0, 5.0, None]
    assert series["time"] == pytest.approx([moments(run)[step] for step in series["step"]])
    assert (series["non_finite"], series["non_finite_count"]) == ([50, 99], 2)
    assert series["value"][3] == pytest.approx((6 + 7 + 8) / 3)


def test_zooming_in_reaches_the_points_themselves(ask, run):
    [series] = ask(f"{RUNS}/{run.pk}/metrics", max_points=10, from_step=48, to_step=52).json()["series"]
    assert (series["step"], series["value"]) == ([48, 49, 50, 51, 52], [8.0, 9.0, None, 1.0, 2.0])
    assert series["last"] == series["value"]
    assert series["count"] == [1] * 5


def test_many_values_that_are_not_finite_are_counted_and_the_first_named(ask):
    run = make_run()
    write_points(run, dict.fromkeys(range(1500), None))
    [series] = ask(f"{RUNS}/{run.pk}/metrics", max_points=10).json()["series"]
    assert series["non_finite_count"] == 1500
    assert series["non_finite"] == list(range(1000))


def test_a_reader_far_behind_is_given_everything_again(ask, run, monkeypatch):
    monkeypatch.setattr("runs.metrics.curves.FAR_BEHIND", 20)
    answer = ask(f"{RUNS}/{run.pk}/metrics", after="0.1").json()
    assert answer["reset"] is True
    assert answer["series"][0]["total_points"] == 100


def test_what_came_since_is_told_of_the_asked_range_alone(ask, run):
    cursor = ask(f"{RUNS}/{run.pk}/metrics").json()["cursor"]
    write_points(run, {150: 1.0, 250: 2.0})
    [series] = ask(f"{RUNS}/{run.pk}/metrics", after=cursor, from_step=90, to_step=200).json()["series"]
    assert (series["step"], series["total_points"]) == ([150], 11)


def test_several_runs_come_in_the_order_asked_for_and_missing_ones_are_named(ask, run):
    other = make_run(name="<b>other</b>")
    write_points(other, {1: 0.5})
    write_points(other, {1: 0.5}, name="eval/loss")
    empty = make_run(name="empty")
    answer = ask(OVERLAY, ids=f"{other.pk},{empty.pk},{run.pk},{other.pk},{2**40}", names="train/loss").json()
    told = [(one["run_id"], one["name"], len(one["series"])) for one in answer["runs"]]
    assert told == [(other.pk, "<b>other</b>", 1), (empty.pk, "empty", 0), (run.pk, "first", 1)]
    assert answer["missing"] == [2**40]
    assert answer["runs"][0]["status"] == other.status
    assert answer["runs"][2]["series"] == ask(f"{RUNS}/{run.pk}/metrics").json()["series"]


def test_several_runs_are_narrowed_and_bounded_like_one(ask, run):
    query = {"from_step": 10, "to_step": 89, "max_points": 5}
    [one] = ask(OVERLAY, ids=run.pk, **query).json()["runs"]
    assert one["series"] == ask(f"{RUNS}/{run.pk}/metrics", **query).json()["series"]
    assert one["series"][0]["total_points"] == 80


@pytest.mark.parametrize(
    ("ids", "told"),
    [
        ("", "Give ids=1,2,3"),
        ("1,x", "ids='x' is no id"),
        ("-1", "ids='-1' is no id"),
        ("0", "outside"),
        ("9" * 19, "outside"),
        (",".join(map(str, range(1, 22))), "21 runs are more than the 20"),
    ],
)
def test_ids_that_are_none_are_refused_in_words(ask, ids, told):
    assert told in ask(OVERLAY, status=422, ids=ids).json()["detail"]


def rows_of(answer, form: str) -> list[dict[str, object]]:
    text = b"".join(answer.streaming_content).decode()
    if form == "csv":
        return list(csv.DictReader(io.StringIO(text)))
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_file_holds_every_point_exactly_however_few_a_chart_shows(ask, form):
    run = make_run()
    write_points(run, {step: step / 3 for step in range(12_000)} | {7: None})
    write_points(run, {1: 1e-300}, name='odd, "name"\n=1')
    answer = ask(f"{RUNS}/{run.pk}/metrics", format=form, max_points=5)
    assert answer.streaming
    assert answer["Content-Disposition"] == f'attachment; filename="run-{run.pk}-metrics.{form}"'
    rows = rows_of(answer, form)
    assert list(rows[0]) == ["run_id", "name", "step", "value", "non_finite", "at", "attempt", "superseded"]
    assert len(rows) == 12_001
    assert {row["name"] for row in rows} == {"train/loss", 'odd, "name"\n=1'}
    own = {int(str(row["step"])): row for row in rows if row["name"] == "train/loss"}
    assert all(float(str(own[step]["value"])) == step / 3 for step in own if step != 7)
    assert (own[7]["value"], own[7]["non_finite"]) == ("" if form == "csv" else None, "nan")
    assert str(own[3]["at"]).endswith("Z")
    assert {str(row["superseded"]).lower() for row in rows} == {"false"}


@pytest.mark.parametrize("name", ["=1+1", "+a", "-a", "@a", "|a", "%a", "'=a"])
def test_a_spreadsheet_takes_no_name_for_a_formula_and_a_reader_gets_it_back(ask, name):
    run = make_run()
    write_points(run, {1: 0.5}, name=name)
    (row,) = rows_of(ask(f"{RUNS}/{run.pk}/metrics", format="csv"), "csv")
    assert row["name"] == f"'{name}"
    assert rearmed(str(row["name"])) == name
    (row,) = rows_of(ask(f"{RUNS}/{run.pk}/metrics", format="jsonl"), "jsonl")
    assert row["name"] == name


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_file_holds_what_was_chosen_and_overtaken_points_only_on_request(ask, run, form):
    overtake(run.pk, step__gt=95)
    write_points(run, {96: 1.0}, attempt=2)
    query = {"format": form, "names": "train/loss", "from_step": 94, "to_step": 97}
    steps = [int(str(row["step"])) for row in rows_of(ask(f"{RUNS}/{run.pk}/metrics", **query), form)]
    assert steps == [94, 95, 96]
    every = rows_of(ask(f"{RUNS}/{run.pk}/metrics", **query, superseded="true"), form)
    told = [(str(row["step"]), str(row["attempt"]), str(row["superseded"]).lower()) for row in every]
    assert told == [
        ("94", "1", "false"),
        ("95", "1", "false"),
        ("96", "1", "true"),
        ("96", "2", "false"),
        ("97", "1", "true"),
    ]


def test_a_file_of_a_run_without_points_has_its_heading_alone(ask):
    assert rows_of(ask(f"{RUNS}/{make_run().pk}/metrics", format="csv"), "csv") == []


@pytest.mark.parametrize("query", [{"after": "0.1"}, {"ancestors": "true"}])
def test_what_a_file_cannot_hold_is_refused(ask, run, query):
    answer = ask(f"{RUNS}/{run.pk}/metrics", status=422, format="csv", **query)
    assert "Leave out after and ancestors" in answer.json()["detail"]
