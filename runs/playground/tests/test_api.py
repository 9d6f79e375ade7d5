"""The playground by the API: ask, follow by cursor, stop; who may, and what is refused."""

import json

import pytest

from runs.models import Generation
from runs.playground.tests.support import asked, put, trained

pytestmark = pytest.mark.django_db


@pytest.fixture
def call(client, token_headers):
    """Ask the API by token: method, path, the expected status, then scope, body and query."""
    headers = {scope: token_headers(scope) for scope in ("read", "operate")}

    def send(method, path, code, /, *, scope="operate", body=None, **query):
        raw = body if isinstance(body, str) else json.dumps(body or {})
        answer = client.generic(
            method,
            f"/api/training/runs/{path}",
            raw,
            content_type="application/json",
            query_params=query,
            headers=headers[scope],
        )
        assert answer.status_code == code, answer.content
        return answer.json()

    return send


@pytest.fixture
def run(tmp_path):
    return trained(tmp_path, 10, 20)


def test_a_question_is_asked_followed_and_stopped(call, run):
    body = {
        "prompt": "hello",
        "beside_checkpoint": "10",
        "expected_answer": "0",
        "decoding": {"temperature": 0.5, "seed": 7},
    }
    first, second = call("POST", f"{run.pk}/playground", 201, body=body)
    assert (first["step"], first["beside"], first["state"], first["cursor"]) == (20, None, "waiting", 0)
    assert (second["step"], second["beside"]) == (10, first["id"])
    assert first["decoding"] == {
        "max_new_tokens": 256,
        "temperature": 0.5,
        "top_k": 0,
        "top_p": 1.0,
        "seed": 7,
        "samples": 1,
    }
    assert "no worker is running" in first["waiting"]
    place = f"{run.pk}/playground/{first['id']}"
    Generation.objects.filter(pk=first["id"]).update(state="writing", text="7+3=0\n#", tokens=7)
    seen = call("GET", place, 200, scope="read")
    assert (seen["text"], seen["cursor"], seen["begun"]) == ("7+3=0\n#", 7, "#")
    assert seen["steps"] == [{"number": 1, "text": "7+3=0", "valid": None}]
    Generation.objects.filter(pk=first["id"]).update(state="done", text="7+3=0\n#0", finished=True, tokens=9)
    seen = call("GET", place, 200, scope="read", after=7)
    assert (seen["text"], seen["cursor"], seen["answer"], seen["correct"]) == ("0", 8, "0", True)
    stopped = call("POST", f"{run.pk}/playground/{second['id']}/stop", 200)
    assert (stopped["state"], stopped["reason"]) == ("stopped", "stopped by a person")
    assert "nothing to stop" in call("POST", f"{run.pk}/playground/{second['id']}/stop", 409)["detail"]


def test_what_was_asked_comes_newest_first(call, run):
    rows = [put(run, prompt=str(number)) for number in range(3)]
    page = call("GET", f"{run.pk}/playground", 200, scope="read", limit=2)
    assert page["count"] == 3
    assert [one["id"] for one in page["items"]] == [rows[2].pk, rows[1].pk]
    rest = call("GET", f"{run.pk}/playground", 200, scope="read", limit=2, offset=2)
    assert [one["prompt"] for one in rest["items"]] == ["0"]


def test_a_number_of_another_run_is_not_found_here(call, run, tmp_path):
    row = put(trained(tmp_path))
    assert "has no generation" in call("GET", f"{run.pk}/playground/{row.pk}", 404)["detail"]
    assert "has no generation" in call("POST", f"{run.pk}/playground/{row.pk}/stop", 404)["detail"]
    call("GET", f"{run.pk}/playground/{2**63 - 1}", 404)
    call("GET", "4711/playground", 404)


def test_a_cursor_beyond_the_text_is_refused(call, run):
    row = put(run, text="abc")
    refused = call("GET", f"{run.pk}/playground/{row.pk}", 409, after=4)
    assert "has 3 characters, and none after 4" in refused["detail"]
    call("GET", f"{run.pk}/playground/{row.pk}", 200, after=3)
    call("GET", f"{run.pk}/playground/{row.pk}", 422, after=-1)
    call("GET", f"{run.pk}/playground/{row.pk}", 422, after=10**20)


def test_viewers_see_and_do_not_ask(call, run):
    row = put(run, state="waiting")
    call("POST", f"{run.pk}/playground", 403, scope="read", body={"prompt": "7+3"})
    call("POST", f"{run.pk}/playground/{row.pk}/stop", 403, scope="read")
    call("GET", f"{run.pk}/playground/{row.pk}", 200, scope="read")
    assert Generation.objects.count() == 1


@pytest.mark.parametrize(
    ("body", "code", "says"),
    [
        ({"prompt": ""}, 422, "prompt"),
        ({"prompt": " "}, 422, "nothing to answer"),
        ({"prompt": "a\x00b"}, 400, "NUL"),
        ({"prompt": "x" * 100_001}, 422, "100000"),
        ({"prompt": "x" * 5000}, 422, "sequences of"),
        ({"prompt": "7+3", "checkpoint": "11"}, 404, "no checkpoint of step 11"),
        ({"prompt": "7+3", "checkpoint": "newest"}, 422, "neither latest, best nor a step"),
        ({"prompt": "7+3", "beside_run": 4711}, 404, "no run 4711"),
        ({"prompt": "7+3", "beside_checkpoint": "latest"}, 422, "same checkpoint"),
        ({"prompt": "7+3", "decoding": {"samples": 3}}, 422, "no such setting"),
        ({"prompt": "7+3", "decoding": {"max_new_tokens": 10**9}}, 422, "max_new_tokens"),
        ({"prompt": "7+3", "decoding": {"seed": {"a": [1] * 10_000}}}, 422, "seed"),
        ({"prompt": "7+3", "odd": 1}, 422, "odd"),
    ],
)
def test_what_cannot_be_asked_is_refused_and_leaves_nothing(call, run, body, code, says):
    assert says in call("POST", f"{run.pk}/playground", code, body=body)["detail"]
    assert not Generation.objects.exists()


def test_half_of_a_surrogate_pair_is_refused(call, run):
    call("POST", f"{run.pk}/playground", 400, body='{"prompt": "a\\ud800b"}')
    assert not Generation.objects.exists()


def test_who_asks_for_too_much_hears_429(call, run, settings):
    settings.TUNIX_PLAYGROUND_WAITING = 1
    call("POST", f"{run.pk}/playground", 201, body={"prompt": "7+3"})
    refused = call("POST", f"{run.pk}/playground", 429, body={"prompt": "7+3"})
    assert "at most 1 may be open at a time. Wait for one of them, or stop one." in refused["detail"]


def test_a_page_of_questions_costs_the_same_however_many_there_are(
    call, run, operator, django_assert_max_num_queries
):
    for _ in range(3):
        asked(run)
    for number in range(30):
        put(run, owner=operator, text=f"{number}\n#1", finished=True, state="done")
    with django_assert_max_num_queries(14):
        call("GET", f"{run.pk}/playground", 200, scope="read")
