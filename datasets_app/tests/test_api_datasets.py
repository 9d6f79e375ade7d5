"""The API of datasets."""

import json

import pytest

from datasets_app.models import BuildTask, Dataset
from datasets_app.services import seed_dataset
from datasets_app.tasks import run_build
from datasets_app.tests.test_generators import GOLDEN_HASHES
from tunix_site.models import AuditEvent

pytestmark = pytest.mark.django_db

GOLDEN = {"dataset_name": "golden", "dataset_version": "v2", "count": 100}


@pytest.fixture
def build(client, token_headers):
    headers = token_headers("operate")
    return lambda body: client.post(
        "/api/datasets/build", body, content_type="application/json", headers=headers
    )


@pytest.fixture
def get(client, token_headers):
    headers = token_headers("read")
    return lambda url: client.get(url, headers=headers)


def text_of(answer) -> str:
    return b"".join(answer.streaming_content).decode()


def test_golden_v2_is_built_in_an_empty_database_at_once(build, get):
    answer = build(GOLDEN)
    assert answer.status_code == 201
    body = answer.json()
    assert (body["key"], body["trace_count"], body["created"]) == ("golden-v2", 100, True)
    assert body["content_hash"] == GOLDEN_HASHES["golden-v2"]
    assert get("/api/datasets/golden-v2").json()["splits"] == {"train": 88, "test": 12}
    assert AuditEvent.objects.get(action="dataset.build").detail["address"] == body["address"]


def test_the_same_build_again_is_found_again(build):
    build(GOLDEN)
    answer = build(GOLDEN)
    assert (answer.status_code, answer.json()["created"]) == (200, False)
    assert Dataset.objects.count() == 1


def test_a_large_build_is_queued_with_progress(build, get):
    answer = build({"dataset_name": "chain", "count": 10_001})
    assert answer.status_code == 202
    task = answer.json()
    assert (task["status"], task["done"], task["total"], task["dataset"]) == ("queued", 0, 10_001, None)
    BuildTask.objects.filter(pk=task["id"]).update(
        request={"dataset_name": "golden", "dataset_version": "v2", "count": 20}
    )
    run_build(task["id"])
    done = get(task["url"]).json()
    assert (done["status"], done["done"], done["total"]) == ("completed", 20, 20)
    assert get(f"/api/datasets/{done['dataset']}").status_code == 200


def test_a_dataset_is_built_from_stored_traces(build):
    build(GOLDEN)
    body = {
        "dataset_name": "mine",
        "dataset_version": "v3",
        "filters": {"family": "cups"},
        "limit": 7,
        "selection_strategy": "random",
        "seed": 5,
    }
    answer = build(body)
    assert answer.status_code == 201
    assert (answer.json()["key"], answer.json()["trace_count"]) == ("mine-v3", 7)
    assert answer.json()["recipe"]["filters"] == {"family": "cups"}


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (GOLDEN | {"count": 0}, 422, "greater than or equal to 1"),
        (GOLDEN | {"count": 10**9}, 422, "less than or equal to 1000000"),
        (GOLDEN | {"seed": -1}, 422, "greater than or equal to 0"),
        (GOLDEN | {"dataset_version": "v9"}, 422, "there is no generator for golden-v9"),
        ({"dataset_name": "golden", "count": 6}, 422, "only 5 distinct prompts"),
        ({"dataset_name": "mine", "limit": 3}, 422, "no stored trace fits"),
        ({"dataset_name": "mine", "filters": {"dataset": "nope"}}, 404, "no dataset 'nope'"),
        ({"dataset_name": "../x", "limit": 3}, 422, "pattern"),
        (
            {"dataset_name": "mine", "filters": {"created_after": "0001-01-01T00:00:00+14:00"}},
            422,
            "created_after",
        ),
        (
            {"dataset_name": "mine", "filters": {"created_before": "9999-12-31T23:59:59-14:00"}},
            422,
            "time is out of range",
        ),
        ({}, 422, "dataset_name"),
        ([], 422, ""),
    ],
)
def test_a_build_that_cannot_be_served_is_refused(build, body, status, words):
    answer = build(json.dumps(body))
    assert answer.status_code == status
    assert words in answer.json()["detail"]
    assert not Dataset.objects.exists()


def test_datasets_are_listed_newest_content_first(get):
    first = seed_dataset(key="golden-v2", count=5).dataset
    second = seed_dataset(key="golden-v2", count=6).dataset
    seed_dataset(key="golden-v1")
    page = get("/api/datasets").json()
    assert page["count"] == 3
    assert [item["address"] for item in page["items"]][1:] == [second.address, first.address]
    assert page["items"][1]["parent"] == first.address
    assert get("/api/datasets?key=golden-v1&limit=1").json()["count"] == 1


def test_what_is_building_is_not_there(get):
    Dataset.objects.create(key="mine-v1")
    assert get("/api/datasets").json()["items"] == []
    assert get("/api/datasets/mine-v1").status_code == 404


def test_an_address_with_a_hash_names_one_content(get):
    first = seed_dataset(key="golden-v2", count=5).dataset
    seed_dataset(key="golden-v2", count=6)
    assert get(f"/api/datasets/golden-v2@{first.content_hash[:8]}").json()["trace_count"] == 5
    assert get("/api/datasets/golden-v2").json()["trace_count"] == 6
    assert get("/api/datasets/golden-v2@zz").status_code == 422
    assert get("/api/datasets/golden-v2@0000").status_code == 404


def test_traces_come_in_pages_with_the_verdicts_on_their_steps(get):
    dataset = seed_dataset(key="golden-v2", count=30).dataset
    page = get("/api/datasets/golden-v2/traces?limit=4&offset=3").json()
    assert [item["position"] for item in page["items"]] == [3, 4, 5, 6]
    assert page["count"] == 30
    assert all(all(item["steps_valid"]) for item in page["items"])
    on_test = get("/api/datasets/golden-v2/traces?split=test").json()
    assert on_test["count"] == dataset.test_count == len(on_test["items"])
    cups = get("/api/datasets/golden-v2/traces?family=cups&limit=2&offset=4").json()
    assert (cups["count"], len(cups["items"])) == (6, 2)
    assert get("/api/datasets/golden-v2/traces?offset=30").json()["items"] == []


def test_a_handwritten_trace_has_no_verdicts(get):
    seed_dataset(key="golden-v1")
    items = get("/api/datasets/golden-v1/traces").json()["items"]
    assert items[0]["steps_valid"] == [None, None]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=5000", "offset=-1", "offset=1e3", "split=dev", "offset=99999999999999999999"]
)
def test_a_bad_page_is_refused(get, query):
    seed_dataset(key="golden-v1")
    assert get(f"/api/datasets/golden-v1/traces?{query}").status_code == 422


@pytest.mark.parametrize("form", ["trace", "sft", "messages", "prompt_completion"])
def test_a_dataset_is_exported_line_by_line(get, form):
    seed_dataset(key="golden-v2", count=600)
    answer = get(f"/api/datasets/golden-v2/export.jsonl?format={form}")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("application/x-ndjson")
    assert f"-{form}.jsonl" in answer.headers["Content-Disposition"]
    lines = [json.loads(line) for line in text_of(answer).splitlines()]
    assert len(lines) == 600
    assert all(line.keys() == lines[0].keys() for line in lines)


def test_one_split_is_exported(get):
    dataset = seed_dataset(key="golden-v2", count=50).dataset
    text = text_of(get("/api/datasets/golden-v2/export.jsonl?split=test"))
    assert len(text.splitlines()) == dataset.test_count


def test_an_unknown_format_is_refused(get):
    seed_dataset(key="golden-v1")
    assert get("/api/datasets/golden-v1/export.jsonl?format=xml").status_code == 422
    assert get("/api/datasets/nope/export.jsonl").status_code == 404


@pytest.mark.parametrize("url", ["/api/datasets/build/7", "/api/datasets/nope", "/api/datasets/nope/traces"])
def test_what_is_not_there_is_not_found(get, url):
    answer = get(url)
    assert answer.status_code == 404
    assert answer.json()["detail"]


def test_building_needs_an_operator(client, token_headers, viewer):
    url = "/api/datasets/build"
    assert client.post(url, GOLDEN, content_type="application/json").status_code == 401
    headers = token_headers("read")
    assert client.post(url, GOLDEN, content_type="application/json", headers=headers).status_code == 403
    assert not Dataset.objects.exists()


def test_a_session_of_an_operator_may_build(client, operator):
    client.force_login(operator)
    assert client.post("/api/datasets/build", GOLDEN, content_type="application/json").status_code == 201


def test_reading_costs_few_queries(get, django_assert_max_num_queries):
    for count in range(1, 6):
        seed_dataset(key="golden-v2", count=count)
    with django_assert_max_num_queries(6):
        get("/api/datasets")
    with django_assert_max_num_queries(6):
        get("/api/datasets/golden-v2/traces")
