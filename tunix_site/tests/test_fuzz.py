"""Whatever is sent to the API, the answer is one that its description promises, never a 5xx."""

import json
from typing import Any

import pytest
import schemathesis
from django.test import Client
from hypothesis import HealthCheck, Phase, given, seed
from hypothesis import settings as hypothesis_settings
from schemathesis import GenerationMode
from schemathesis.core.result import Ok

from tunix_site.api import api

pytestmark = pytest.mark.django_db

EXAMPLES = 8
LARGEST_BUILD = 50  # a build of thousands is allowed, and only slow

DESCRIPTION = json.loads(json.dumps(api.get_openapi_schema(path_prefix="/api/"), default=str))
SCHEMA = schemathesis.openapi.from_dict(DESCRIPTION)
OPERATIONS = {found.ok().label: found.ok() for found in SCHEMA.get_all_operations() if isinstance(found, Ok)}


def send(client: Client, case: Any, headers: dict[str, str]) -> Any:
    """Send a generated case through the whole site; pieces that HTTP cannot carry are left out."""
    parts = case.as_transport_kwargs(base_url="http://testserver")
    body = parts.get("json", parts.get("data"))
    if isinstance(body, dict) and isinstance(body.get("count"), int):
        body["count"] = min(body["count"], LARGEST_BUILD)
    raw = body if isinstance(body, bytes | str) else json.dumps(body) if body is not None else ""
    return client.generic(
        case.method,
        parts["url"].removeprefix("http://testserver").split("?")[0],
        raw,
        content_type="application/json",
        query_params=parts.get("params") or {},
        headers=headers,
    )


@pytest.mark.parametrize(
    "mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["fitting", "broken"]
)
@pytest.mark.parametrize("label", sorted(OPERATIONS))
def test_no_input_breaks_a_route(client, token_headers, label, mode):
    operation = OPERATIONS[label]
    if mode is GenerationMode.NEGATIVE and not operation.body and not list(operation.iter_parameters()):
        return
    headers = token_headers("admin")
    promised = {int(code) for code in operation.definition.raw["responses"]}

    @seed(20_260_101)
    @hypothesis_settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def fuzz(case: Any) -> None:
        response = send(client, case, headers)
        told = f"{case.method} {case.formatted_path} {case.query} {case.body!r} -> {response.status_code}"
        assert response.status_code < 500, told
        assert response.status_code in promised | {405}, told
        if response.status_code >= 400:
            refusal = response.json()
            assert isinstance(refusal["detail"], str), told
            assert refusal["detail"], told

    fuzz()
