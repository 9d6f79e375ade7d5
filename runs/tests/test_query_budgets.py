"""How many queries pages and routes may take, whatever the number of rows behind them."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from runs.models import Run
from runs.tests.support import make_run, write_points

pytestmark = pytest.mark.django_db

METRICS = ("train/loss", "train/grad_norm", "train/step_time", "eval/loss", "system/host_memory")
IDLE_POLL_BYTES = 300


def run_with_points(points: int) -> Run:
    run = make_run(name="a run whose name is of a usual length")
    for name in METRICS:
        write_points(run, {step: float(step) if step % 97 else None for step in range(points)}, name=name)
    return run


@pytest.fixture
def ask(client, token_headers):
    """Ask the API; gives the answer and the queries of it that concern runs and their metrics."""
    headers = token_headers("read")

    def send(path: str, **query: object):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            answer = client.get(path, query_params=query, headers=headers)
        assert answer.status_code == 200, answer.content
        return answer, [one["sql"] for one in queries.captured_queries if "runs_" in one["sql"]]

    return send


@pytest.mark.parametrize("points", [10, 3000])
def test_a_first_answer_takes_at_most_five_queries_however_many_series_and_points(ask, points):
    answer, queries = ask(f"/api/training/runs/{run_with_points(points).pk}/metrics", max_points=100)
    assert len(answer.json()["series"]) == len(METRICS)
    assert len(queries) <= 5, queries


def test_a_range_that_fits_no_bucket_takes_no_more(ask):
    run = run_with_points(3000)
    answer, queries = ask(f"/api/training/runs/{run.pk}/metrics", max_points=20, from_step=17, to_step=2933)
    assert answer.json()["series"][0]["total_points"] == 2917
    assert len(queries) <= 5, queries


def test_an_idle_poll_takes_two_queries_and_less_than_300_bytes(ask):
    run = run_with_points(300)
    path = f"/api/training/runs/{run.pk}/metrics"
    cursor = ask(path)[0].json()["cursor"]
    answer, queries = ask(path, after=cursor)
    assert answer.json()["series"] == []
    assert len(answer.content) < IDLE_POLL_BYTES
    assert len(queries) <= 2, queries


def test_a_poll_with_news_takes_three_queries(ask):
    run = run_with_points(300)
    path = f"/api/training/runs/{run.pk}/metrics"
    cursor = ask(path)[0].json()["cursor"]
    write_points(run, {300: 1.0, 301: None}, name="train/loss")
    answer, queries = ask(path, after=cursor)
    assert [one["step"] for one in answer.json()["series"]] == [[300, 301]]
    assert len(queries) <= 3, queries


@pytest.mark.parametrize("runs", [1, 8])
def test_curves_of_many_runs_take_as_many_queries_as_those_of_one(ask, runs):
    numbers = [run_with_points(1200).pk for _ in range(runs)]
    answer, queries = ask(
        "/api/training/metrics", ids=",".join(map(str, numbers)), names="train/loss,eval/loss", max_points=50
    )
    assert [len(one["series"]) for one in answer.json()["runs"]] == [2] * runs
    assert len(queries) <= 5, queries


def test_a_chart_reads_few_of_the_points_that_are_stored(ask, django_assert_num_queries):
    """Where a series is long, the points themselves are not looked at."""
    run = run_with_points(3000)
    _, queries = ask(f"/api/training/runs/{run.pk}/metrics", names="train/loss", max_points=30)
    from_points = [text for text in queries if "runs_metricpoint" in text]
    assert all("value IS NULL" in text for text in from_points), queries
