"""What the list of runs costs: queries, bytes, and no reading of what it does not show."""

import json
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext

from runs.listing.address import Address
from runs.listing.organising import change_tags
from runs.listing.page import read_page
from runs.listing.saved import save_view
from runs.listing.search import search_runs
from runs.models import Evaluation, Run, Tag
from runs.states import Status
from runs.tests.control_support import hold, make_device, make_worker, queued
from runs.tests.support import make_dataset, make_run
from training.config import make_config

pytestmark = pytest.mark.django_db

# Session, person and rights, which every page asks for.
WHO_ASKS = ("django_session", "auth_user", "auth_permission")
MOST_QUERIES = 6
MANY = 10_000
PAGE_BYTES = 200_000


def fill(count: int) -> None:
    """Write many runs with long provenance, a third of them graded, half of them tagged."""
    data = make_dataset()
    config = make_config({"model": "nano"}).model_dump(mode="json")
    provenance = {"installed": [f"package-{number}==1.0" for number in range(100)]}
    Run.objects.bulk_create(
        [
            Run(
                name=f"run {number} " + "x" * (number % 200),
                config={**config, "learning_rate": 1e-4 * (1 + number % 9)},
                status=Status.COMPLETED if number % 3 else Status.FAILED,
                dataset=data,
                device_kind="cpu",
                provenance=provenance,
                last_loss=number % 17,
                total_steps=10,
                tokens_per_second=number,
                parameters=49_888,
                step=10,
            )
            for number in range(count)
        ],
        batch_size=500,
    )
    runs = list(Run.objects.only("pk"))
    tag = Tag.objects.create(name="half")
    links = [Run.tags.through(run_id=run.pk, tag_id=tag.pk) for run in runs[::2]]
    Run.tags.through.objects.bulk_create(links, batch_size=500)
    facts = {
        "attempt": 1, "step": 10, "split": "test", "n": 8, "correct": 6, "answer_accuracy": 0.75,
        "interval_low": 0.4, "interval_high": 0.9, "seconds": 1, "generated_tokens": 1,
    }  # fmt: skip
    last = [Evaluation(run=run, made_by=run, created_at=data.created_at, **facts) for run in runs[-60:]]
    for row in Evaluation.objects.bulk_create(last):
        Run.objects.filter(pk=row.run_id).update(best_evaluation=row)


def asked(client, path: str) -> tuple[list[str], bytes]:
    """Give the queries of the page itself, and what it answered."""
    with CaptureQueriesContext(connection) as caught:
        answer = client.get(path)
    assert answer.status_code == 200
    told = [row["sql"] for row in caught.captured_queries]
    return [sql for sql in told if not any(f'FROM "{table}' in sql for table in WHO_ASKS)], answer.content


PATHS = [
    "/runs/?q=",
    "/runs/?q=&page=3",
    "/runs/?sort=-started",
    "/runs/?sort=-accuracy,loss",
    "/runs/?group=dataset&sort=loss",
    "/runs/?q=status:failed+lr<5e-4+tag:half+dataset:golden",
    "/runs/?q=xxx&columns=run,config.learning_rate,owner,tags,size",
    "/runs/?q=nothing-fits-this",
]


def test_ten_thousand_runs_cost_six_queries_and_a_short_page(client, operator):
    fill(MANY)
    save_view(owner=operator, name="mine", query="q=tag:half", default=True)
    client.force_login(operator)
    for path in PATHS:
        queries, content = asked(client, path)
        assert len(queries) <= MOST_QUERIES, queries
        assert len(content) < PAGE_BYTES, path


def test_what_waits_says_why_within_the_same_budget(client, operator):
    make_worker()
    hold(make_device(), seconds=10.0)
    for _ in range(30):
        change_tags(queued(dataset=make_dataset()), add=["x"])
    client.force_login(operator)
    queries, content = asked(client, "/runs/?q=")
    assert len(queries) <= MOST_QUERIES, queries
    assert b"is busy with run" in content


def test_states_of_a_whole_page_cost_four_queries_when_nothing_waits(client, operator):
    fill(60)
    client.force_login(operator)
    numbers = ",".join(str(pk) for pk in Run.objects.values_list("pk", flat=True)[:50])
    queries, content = asked(client, f"/api/training/runs/states?ids={numbers}&newer_than=0&q=lr<1")
    assert len(queries) <= 2, queries
    assert len(content) < 25_000
    cursor = json.loads(content)["cursor"]
    _, content = asked(client, f"/api/training/runs/states?ids={numbers}&newer_than=0&q=lr<1&after={cursor}")
    assert len(content) < 100


def test_the_api_lists_a_thousand_runs_with_a_fixed_number_of_queries(client, operator):
    fill(300)
    client.force_login(operator)
    queries, _ = asked(client, "/api/training/runs?limit=300")
    assert len(queries) <= 3, queries


def plan(sql: str, params: Any) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}", params)
        return "\n".join(str(row[-1]) for row in cursor.fetchall())


@pytest.mark.parametrize("sort", ["", "loss", "-started", "-speed", "size", "name", "-accuracy"])
def test_sorting_reads_an_index_and_not_the_rows_with_their_provenance(sort):
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL keeps long values out of the row")
    from runs.listing.address import ordering

    chosen = search_runs("").order_by(*ordering(sort)).values("pk")[:50]
    told = plan(*chosen.query.sql_with_params())
    assert "USING COVERING INDEX runs_" in told


def test_the_count_reads_no_json(client, operator):
    make_run()
    with CaptureQueriesContext(connection) as caught:
        page = read_page(search_runs(""), Address())
    assert page.count == 1
    counting = next(row["sql"] for row in caught.captured_queries if "COUNT(*)" in row["sql"])
    inner = counting.split("COUNT(*)")[1].split("counted")[0]
    assert "JSON" not in inner
    assert "config" not in inner


@pytest.fixture(autouse=True)
def no_cache():
    """What one page left in a cache must not make the next one cheap."""
    cache.clear()


def test_the_list_as_it_opens_costs_six_queries_with_those_that_find_out_who_asks(client, operator):
    fill(120)
    client.force_login(operator)
    client.get("/runs/")
    with CaptureQueriesContext(connection) as caught:
        assert client.get("/runs/").status_code == 200
    assert len(caught) <= MOST_QUERIES
