"""Every route, every method: 401 for strangers, 403 for known people without the right."""

import re
from collections.abc import Iterator

import pytest
from django.test import Client

from tunix_site.api import api
from tunix_site.auth import ADMIN, BY_METHOD, OPERATE, READ

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
WRITING = ("post", "put", "patch", "delete")
PLACEHOLDERS = {"key": "golden-v2"}

pytestmark = pytest.mark.django_db


def operations() -> Iterator[tuple[str, str]]:
    """Every (method, path) that OpenAPI describes, with example values in the path."""
    for template, methods in api.get_openapi_schema(path_prefix="/api/")["paths"].items():
        path = re.sub(r"{(\w+)}", lambda found: PLACEHOLDERS.get(found[1], "1"), template)
        for method in methods:
            yield method, path


OPERATIONS = sorted(operations())
GUARDED_PATHS = sorted({path for _, path in OPERATIONS if path != "/api/health"} | {"/api/openapi.json"})
GUARDED = [(method, path) for method, path in OPERATIONS if path != "/api/health"]


def ids(pair: tuple[str, str]) -> str:
    return f"{pair[0]} {pair[1]}"


def test_the_contract_routes_are_there():
    described = set(api.get_openapi_schema(path_prefix="/api/")["paths"])
    for path in (
        "health",
        "devices",
        "traces",
        "traces/batch",
        "traces/{trace_id}",
        "datasets",
        "datasets/build",
        "datasets/{key}",
        "datasets/{key}/traces",
        "datasets/{key}/export.jsonl",
        "training/runs",
        "training/runs/{run_id}",
        "training/runs/{run_id}/stop",
        "training/runs/{run_id}/stop_now",
        "training/runs/{run_id}/requeue",
        "training/runs/{run_id}/mark_stopped",
        "training/runs/{run_id}/move",
        "training/runs/{run_id}/priority",
        "training/runs/{run_id}/checkpoints/{step}/pin",
        "training/runs/{run_id}/checkpoints/{step}/unpin",
        "training/runs/{run_id}/resume",
        "training/runs/{run_id}/clone",
        "training/runs/{run_id}/metrics",
        "training/runs/{run_id}/checkpoints",
        "training/runs/{run_id}/samples",
        "training/runs/{run_id}/evaluations",
        "training/runs/{run_id}/logs",
        "training/runs/{run_id}/logs/search",
        "training/runs/{run_id}/notes",
        "training/runs/{run_id}/attempts",
        "training/benchmarks",
        "training/queue",
        "workers",
    ):
        assert f"/api/{path}" in described


@pytest.mark.parametrize("path", [*GUARDED_PATHS, "/api/", "/api/no-such-thing"])
@pytest.mark.parametrize("method", METHODS)
def test_a_stranger_gets_401(client, method, path):
    response = client.generic(method, path, data="{}", content_type="application/json")
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Bearer")
    if method != "HEAD":
        assert response.json()["detail"]


@pytest.mark.parametrize(
    "header",
    [
        "Bearer wrong",
        "Bearer ",
        "bearer tnx_0123",
        "Basic dXNlcjpwYXNz",
        "tnx_0123",
        "Bearer tnx_ä",
        "Bearer a b",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_bad_credentials_get_401_even_on_a_good_session(client, operator, method, header):
    client.force_login(operator)
    response = client.generic(method, "/api/training/runs", headers={"Authorization": header})
    assert response.status_code == 401


@pytest.mark.parametrize("operation", GUARDED, ids=ids)
def test_a_person_without_a_role_gets_403(client, make_user, operation):
    client.force_login(make_user("nobody"))
    method, path = operation
    assert client.generic(method.upper(), path, "{}", content_type="application/json").status_code == 403


@pytest.mark.parametrize("operation", [pair for pair in GUARDED if pair[0] in WRITING], ids=ids)
def test_a_viewer_may_not_write(client, token_headers, viewer, operation):
    method, path = operation
    by_token = client.generic(
        method.upper(), path, "{}", content_type="application/json", headers=token_headers("read")
    )
    assert by_token.status_code == 403
    client.force_login(viewer)
    by_session = client.generic(method.upper(), path, "{}", content_type="application/json")
    assert by_session.status_code == 403
    assert "operate" in by_session.json()["detail"] or "admin" in by_session.json()["detail"]


@pytest.mark.parametrize("operation", [pair for pair in GUARDED if pair[0] in WRITING], ids=ids)
def test_a_session_needs_its_csrf_token_to_write_and_a_token_needs_none(operator, token_headers, operation):
    method, path = operation
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(operator)
    refused = strict.generic(method.upper(), path, "[]", content_type="application/json")
    assert refused.status_code == 403
    assert "CSRF" in refused.json()["detail"]
    by_token = Client(enforce_csrf_checks=True).generic(
        method.upper(), path, "[]", content_type="application/json", headers=token_headers("admin")
    )
    assert by_token.status_code not in {401, 403}


def test_a_session_with_its_csrf_token_may_write(operator):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(operator)
    page = strict.get("/api/docs").content.decode()
    found = re.search(r'name="csrf-token" content="(\w+)"', page)
    assert found
    response = strict.post("/api/training/runs", "[]", "application/json", headers={"X-CSRFToken": found[1]})
    assert response.status_code == 422


@pytest.mark.parametrize("operation", [pair for pair in GUARDED if pair[0] == "get"], ids=ids)
def test_a_viewer_may_read(client, token_headers, operation):
    assert client.get(operation[1], headers=token_headers("read")).status_code in {200, 404, 422}


def test_every_route_has_a_guard_and_none_that_writes_is_open_to_viewers():
    for bound in api._get_bound_routers():
        for path, view in bound.path_operations.items():
            for operation in view.operations:
                guards = operation.auth_callbacks
                if operation.view_func.__name__ == "health":
                    assert not guards
                elif set(operation.methods) <= {"GET"}:
                    assert guards in (READ, OPERATE, ADMIN, BY_METHOD), path
                else:
                    assert guards in (OPERATE, ADMIN, BY_METHOD), path


def test_every_route_documents_its_refusals():
    described = api.get_openapi_schema(path_prefix="/api/")["paths"]
    for template, methods in described.items():
        for method, facts in methods.items():
            if template == "/api/health":
                continue
            assert {400, 401, 403, 404, 422} <= {int(code) for code in facts["responses"]}, (
                f"{method} {template}"
            )
