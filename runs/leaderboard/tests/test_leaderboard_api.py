"""The leaderboard for programs, and what it costs."""

import time

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from runs.leaderboard.tests.support import clean, fill, make_runs, store
from runs.tests.support import make_dataset
from runs.tests.test_list_budgets import asked

pytestmark = pytest.mark.django_db

MOST_QUERIES = 12
# On a quiet machine it takes a fifth of this.
MOST_SECONDS = 1.0


@pytest.fixture
def data():
    return make_dataset()


@pytest.fixture
def call(client, token_headers):
    headers = token_headers("read")

    def read(code: int = 200, **query):
        answer = client.get("/api/training/leaderboard", query, headers=headers)
        assert answer.status_code == code, answer.content
        return answer.json()

    return read


def test_a_board_comes_with_ranks_intervals_and_overlap(call, data):
    first, second = make_runs(2, data)
    store(first, 90, overlap=clean(trace=4, ngram=1))
    store(second, 20, overlap=None)
    answer = call(dataset=data.key)
    (board,) = answer["boards"]
    assert (board["grader"], board["grader_version"], board["split"], board["draws"]) == (
        "auto",
        1,
        "test",
        1,
    )
    assert (board["count"], board["overlapping"], board["unchecked"]) == (2, 1, 1)
    top, low = board["entries"]
    assert (top["rank"], top["run_id"], top["overlap"], top["overlap_prompts"]) == (
        "1",
        first.pk,
        "prompts",
        4,
    )
    assert (low["rank_best"], low["rank_worst"], low["overlap"]) == (2, 2, "unchecked")
    assert top["interval"] == pytest.approx([0.826, 0.945], abs=1e-3)
    assert (top["right_with_invalid_step"], top["generated_tokens"], top["model"]) == (2, 1234, "nano")
    (kept,) = call(dataset=data.key, hide_overlap=True)["boards"]
    assert [entry["run_id"] for entry in kept["entries"]] == [second.pk]


def test_it_is_narrowed_by_split_grader_and_board(call, data):
    (run,) = make_runs(1, data)
    store(run, 90)
    store(run, 80, split="train", step=20)
    store(run, 70, grader="", grader_version=0, step=30)
    assert len(call(dataset=data.key)["boards"]) == 3
    assert [one["split"] for one in call(dataset=data.key, split="train")["boards"]] == ["train"]
    (old,) = call(dataset=data.key, grader="")["boards"]
    assert old["grader"] == ""
    assert call(dataset=data.key, board=old["board"])["boards"] == [old]
    assert call(dataset=data.address, split="none")["boards"] == []
    assert "There is no dataset" in call(404, dataset="nowhere")["detail"]
    call(422)


def test_ten_thousand_evaluations_of_three_hundred_runs_cost_few_queries_and_little_time(
    client, viewer, data
):
    fill(data)
    client.force_login(viewer)
    for path in (f"/leaderboard/{data.key}/", f"/leaderboard/{data.key}/?all=1", "/leaderboard/"):
        client.get(path)
        began = time.perf_counter()
        queries, body = asked(client, path)
        seconds = time.perf_counter() - began
        assert len(queries) <= MOST_QUERIES, queries
        assert not [sql for sql in queries if '"provenance"' in sql]
        assert seconds < MOST_SECONDS, f"{path} took {seconds:.3f} s"
        assert len(body) < 200_000
    with CaptureQueriesContext(connection) as caught:
        client.get("/api/training/leaderboard", {"dataset": data.key})
    assert len(caught) <= MOST_QUERIES + 5
