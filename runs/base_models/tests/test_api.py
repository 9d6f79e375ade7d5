"""Base models over the API: who may do what, and what the answers hold."""

import json

import pytest

from runs.base_models.tests.support import FILES, import_tiny, run_from
from runs.models import BaseModel, ModelImport

pytestmark = pytest.mark.django_db


@pytest.fixture
def call(client, token_headers):
    """Ask the API: method, path below /api/models, the expected status, then scope and body."""
    headers = {scope: token_headers(scope) for scope in ("read", "operate", "admin")}

    def send(method, path, code, /, *, scope="read", body=None):
        text = json.dumps(body) if body is not None else ""
        answer = client.generic(
            method, f"/api/models{path}", text, content_type="application/json", headers=headers[scope]
        )
        assert answer.status_code == code, answer.content
        return answer.json()

    return send


def test_models_are_listed_and_told_in_full(call, tmp_path):
    assert call("GET", "", 200) == {"items": [], "count": 0}
    row = import_tiny(tmp_path)
    run = run_from(row)
    (listed,) = call("GET", "", 200)["items"]
    assert listed["reference"] == row.reference
    assert (listed["parameters"], listed["is_here"]) == (35_136, True)
    told = call("GET", "/mini", 200)
    assert told == call("GET", f"/{row.reference}", 200)
    assert told.items() >= listed.items()
    assert told["files"] == row.files
    assert (told["licence"], told["licence_text"]) == ("apache-2.0", FILES["LICENSE"])
    assert told["runs"] == [run.pk]
    assert "There are: mini@" in call("GET", "/other", 404)["detail"]


def test_an_import_from_the_hub_waits_in_the_queue(call):
    body = {"repo": "owner/model", "revision": "v1", "name": "mine"}
    call("POST", "/import", 403, body=body)
    queued = call("POST", "/import", 202, scope="operate", body=body)
    row = ModelImport.objects.get()
    assert queued["url"] == f"/api/models/imports/{row.pk}"
    assert (queued["status"], queued["repo"], queued["revision"]) == ("queued", "owner/model", "v1")
    assert row.requested_by is not None
    assert call("GET", f"/imports/{row.pk}", 200) == queued
    call("POST", "/import", 409, scope="operate", body=body)
    call("GET", "/imports/99", 404)


@pytest.mark.parametrize(
    "body",
    [
        {"path": "/etc"},
        {"repo": "/etc/passwd"},
        {"repo": "owner/model", "path": "/etc"},
        {"repo": "../../etc"},
        {"repo": "owner/model", "name": "nano"},
        {"repo": "owner/model", "name": "Big Name"},
        {"repo": "owner/model", "revision": "../x"},
        {},
    ],
)
def test_folders_of_the_server_and_bad_names_are_refused(call, body):
    call("POST", "/import", 422, scope="operate", body=body)
    assert not ModelImport.objects.exists()


def test_only_administrators_delete_and_never_what_a_run_names(call, tmp_path):
    row = import_tiny(tmp_path)
    run = run_from(row)
    call("DELETE", "/mini", 403, scope="operate")
    assert f"run {run.pk}" in call("DELETE", "/mini", 409, scope="admin")["detail"]
    run.delete()
    assert call("DELETE", "/mini", 200, scope="admin") == {"freed_bytes": row.size_bytes}
    assert not BaseModel.objects.exists()
    call("DELETE", "/mini", 404, scope="admin")
