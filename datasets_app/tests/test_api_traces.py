"""The API of traces."""

import json

import pytest

from datasets_app.models import Trace
from datasets_app.services import seed_dataset

pytestmark = pytest.mark.django_db

TRACE = {
    "trace_version": "1.0",
    "prompt": "1+1",
    "steps": [{"i": 0, "type": "compute", "content": "1+1=2"}],
    "final_answer": "2",
    "meta": {"level": 1},
    "source": "lab",
    "licence": "MIT",
}


@pytest.fixture
def post(client, token_headers):
    headers = token_headers("operate")

    def send(url: str, body: object, **more):
        text = body if isinstance(body, str | bytes) else json.dumps(body)
        return client.post(url, text, content_type="application/json", headers=headers | more)

    return send


@pytest.fixture
def get(client, token_headers):
    headers = token_headers("read")
    return lambda url: client.get(url, headers=headers)


def test_a_trace_is_stored_and_read_back(post, get):
    answer = post("/api/traces", TRACE)
    assert answer.status_code == 201
    stored = answer.json()
    assert stored["created"] is True
    one = get(f"/api/traces/{stored['id']}")
    assert one.status_code == 200
    assert one.json()["steps"] == TRACE["steps"]
    assert one.json()["sources"] == [{"source": "lab", "licence": "MIT", "family": "", "meta": {"level": 1}}]
    assert one.json()["datasets"] == []
    assert len(one.json()["content_hash"]) == 64


def test_the_same_trace_again_is_found_again(post):
    first = post("/api/traces", TRACE).json()
    again = post("/api/traces", TRACE)
    assert again.status_code == 200
    assert (again.json()["id"], again.json()["created"]) == (first["id"], False)


def test_only_what_must_be_given_must_be_given(post):
    body = {"prompt": "p", "steps": [{"i": 1, "content": "s"}], "final_answer": "a"}
    assert post("/api/traces", body).json()["steps"] == [{"i": 1, "type": "step", "content": "s"}]


@pytest.mark.parametrize("shape", [lambda traces: {"traces": traces}, lambda traces: traces])
def test_a_batch_is_stored_in_its_order(post, shape):
    traces = [TRACE | {"prompt": f"p{number}"} for number in (3, 1, 2, 1)]
    answer = post("/api/traces/batch", shape(traces))
    assert answer.status_code == 201
    body = answer.json()
    assert (body["created"], body["existing"]) == (3, 1)
    prompts = [Trace.objects.get(pk=item["id"]).prompt for item in body["items"]]
    assert prompts == ["p3", "p1", "p2", "p1"]
    assert post("/api/traces/batch", shape(traces)).status_code == 200


def test_one_bad_trace_keeps_the_batch_out(post):
    answer = post("/api/traces/batch", [TRACE, TRACE | {"final_answer": " "}])
    assert answer.status_code == 422
    assert "traces[1].final_answer: is empty" in answer.json()["detail"]
    assert not Trace.objects.exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"prompt": ""}, "prompt: is empty"),
        (
            {"steps": [{"i": 0, "content": "a"}, {"i": 0, "content": "b"}]},
            "steps[1].i: the index 0 is there twice",
        ),
        ({"steps": [{"i": -1, "content": "a"}]}, "greater than or equal to 0"),
        ({"steps": [{"i": 10**20, "content": "a"}]}, "64 bits"),
        ({"steps": "none"}, "valid list"),
        ({"trace_version": "9"}, "'9' is not known"),
        ({"colour": "red"}, "Extra inputs"),
        ({"source": "x" * 201}, "at most 200"),
        ({"meta": [1]}, "valid dictionary"),
    ],
)
def test_a_bad_trace_is_refused_with_its_field(post, changes, words):
    answer = post("/api/traces", TRACE | changes)
    assert answer.status_code in {400, 422}
    assert words in answer.json()["detail"]
    assert not Trace.objects.exists()


@pytest.mark.parametrize(
    "body", ['{"prompt": "\\ud800"}', '{"prompt": "a\\u0000"}', "{", b"\xff", '{"meta": {"a": NaN}}']
)
def test_a_body_that_no_database_can_keep_is_refused(post, body):
    assert post("/api/traces", body).status_code in {400, 422}


def test_an_empty_or_an_oversized_batch_is_refused(post):
    assert post("/api/traces/batch", []).status_code == 422
    small = {"prompt": "p", "steps": [], "final_answer": "a"}
    answer = post("/api/traces/batch", [small] * 5001)
    assert answer.status_code == 422
    assert "at most 5000" in answer.json()["detail"]


def test_stored_traces_are_listed_newest_first_in_pages(post, get):
    for number in range(5):
        post("/api/traces", TRACE | {"prompt": f"p{number}", "source": "odd" if number % 2 else "even"})
    page = get("/api/traces?limit=2&offset=1").json()
    assert [item["prompt"] for item in page["items"]] == ["p3", "p2"]
    assert (page["count"], page["limit"], page["offset"]) == (5, 2, 1)
    assert get("/api/traces?source=odd").json()["count"] == 2
    wanted = page["items"][0]["content_hash"]
    assert get(f"/api/traces?content_hash={wanted}").json()["count"] == 1


def test_generated_traces_are_listed_with_their_datasets(get):
    dataset = seed_dataset(key="golden-v1").dataset
    page = get("/api/traces").json()
    assert page["count"] == 5
    assert get(f"/api/traces/{page['items'][0]['id']}").json()["datasets"] == [dataset.address]


@pytest.mark.parametrize(
    "url",
    [
        "/api/traces?limit=0",
        "/api/traces?limit=1001",
        "/api/traces?offset=-1",
        "/api/traces?offset=100000000000000000000",
        "/api/traces/0",
        "/api/traces/99999999999999999999",
    ],
)
def test_every_number_is_bounded(get, url):
    assert get(url).status_code == 422


def test_an_unknown_trace_is_not_found(get):
    assert get("/api/traces/7").status_code == 404
    assert get("/api/traces/7").json()["detail"] == "There is no trace 7."


def test_storing_needs_an_operator(client, token_headers):
    assert client.post("/api/traces", TRACE, content_type="application/json").status_code == 401
    headers = token_headers("read")
    answer = client.post("/api/traces", TRACE, content_type="application/json", headers=headers)
    assert answer.status_code == 403
    assert client.get("/api/traces").status_code == 401


def test_the_list_costs_the_same_queries_however_long_it_is(post, get, django_assert_max_num_queries):
    for number in range(20):
        post("/api/traces", TRACE | {"prompt": f"p{number}"})
    with django_assert_max_num_queries(8):
        assert len(get("/api/traces").json()["items"]) == 20
