"""Every refusal of the API has one shape, whatever refused it."""

import json

import pytest
from django.db import OperationalError
from django.test import Client

from tunix_site import __version__
from tunix_site import api as api_module
from tunix_site.wire import MAX_DEPTH, BodyError, FiniteRenderer, parse_json

pytestmark = pytest.mark.django_db

URL = "/api/training/runs"


@pytest.fixture
def send(client, token_headers):
    headers = token_headers("admin")

    def post(body, path=URL, method="POST", content_type="application/json"):
        return client.generic(method, path, body, content_type, headers=headers)

    return post


def assert_shaped(response, status):
    assert response.status_code == status
    assert response.headers["Content-Type"].startswith("application/json")
    body = response.json()
    assert set(body) <= {"detail", "errors"}
    assert isinstance(body["detail"], str)
    assert body["detail"]
    return body


def test_an_unknown_address(send):
    assert "/api/docs" in assert_shaped(send("", "/api/nothing", "GET"), 404)["detail"]


def test_a_method_that_is_not_there(send):
    response = send("", URL, "DELETE")
    assert_shaped(response, 405)
    assert "POST" in response.headers["Allow"]


def test_a_body_that_is_not_json_says_where(send):
    assert "line 1" in assert_shaped(send('{"a": }'), 400)["detail"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b'{"a": NaN}', "NaN"),
        (b'{"a": -Infinity}', "Infinity"),
        (b'{"a": 1e999}', "too large"),
        (b'{"a": 100000000000000000000}', "64 bits"),
        (b'{"a": "x\\u0000y"}', "NUL"),
        (b'{"x\\u0000": 1}', "NUL"),
        (b'{"a": "\\ud800"}', "surrogate"),
        (b'{"a": "\xff"}', "UTF-8"),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "nested"),
        (b"[" * 100_000, "nested"),
        (b"", "JSON"),
    ],
)
def test_json_that_no_database_keeps_is_refused(body, says):
    with pytest.raises(BodyError, match=says):
        parse_json(body)


def test_good_json_comes_through_as_it_is():
    value = {"a": [1, 2.5, None, True, "ä😀"], "b": {"c": -(2**63)}}
    assert parse_json(json.dumps(value).encode()) == value


def test_values_that_do_not_fit_are_named_and_not_echoed(send):
    body = assert_shaped(send('{"dataset": 5, "config": "secret-value"}'), 422)
    assert body["errors"]
    for error in body["errors"]:
        assert set(error) == {"loc", "msg", "type"}
    assert "secret-value" not in json.dumps(body)


@pytest.mark.parametrize("query", ["limit=0", "limit=100000", "offset=-1", f"offset={10**20}", "limit=x"])
def test_integers_are_bounded(send, query):
    assert_shaped(send("", f"{URL}?{query}", "GET"), 422)


@pytest.mark.parametrize("run", [0, 10**30, 2**63, "x"])
def test_ids_are_bounded(send, run):
    assert send("", f"{URL}/{run}", "GET").status_code in {404, 422}


def test_a_body_above_the_limit_is_refused_before_it_is_read(send, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    assert_shaped(send("[" + " " * 200 + "]"), 413)


@pytest.mark.parametrize("address", ["/api/health?a=%00", "/api/%00", "/accounts/login/?next=%00"])
def test_a_nul_in_the_address_is_a_bad_request(client, address):
    assert client.get(address).status_code == 400


def test_a_host_that_is_not_ours_gets_the_same_shape(client):
    assert_shaped(client.get("/api/health", headers={"host": "evil.example.org"}), 400)


def test_a_failure_of_ours_shows_nothing_of_its_cause(viewer, monkeypatch):
    def fail(*args):
        raise RuntimeError("hunter2")

    monkeypatch.setattr("tunix_site.auth.user_scope", fail)
    client = Client(raise_request_exception=False)
    client.force_login(viewer)
    body = assert_shaped(client.get(URL), 500)
    assert "hunter2" not in body["detail"]


def test_a_database_that_is_away_is_503_and_says_when_to_come_back(rf):
    response = api_module.database_away(rf.get("/api/datasets"), OperationalError("database is locked"))
    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")


def test_health_is_open_and_says_little(client):
    response = client.get("/api/health")
    assert response.status_code == 200
    assert response.json() == {
        "status": "ok",
        "database": True,
        "version": __version__,
        "workers": {"alive": 0, "silent": 0},
    }


def test_numbers_that_json_does_not_have_are_written_as_null(rf):
    data = {"value": [1.5, float("nan"), float("inf")]}
    assert json.loads(FiniteRenderer().render(rf.get("/"), data, response_status=200)) == {
        "value": [1.5, None, None]
    }
