"""Keys of datasets: none may be a word that stands in an address where a key could."""

import pydantic
import pytest
from django.urls import URLPattern

from datasets_app.build_request import BuildRequest
from datasets_app.generators import GENERATORS
from datasets_app.imports.request import make_request
from datasets_app.keys import RESERVED
from datasets_app.urls import urlpatterns
from tunix_site.api import api
from tunix_site.errors import InvalidInputError


def fixed_segments() -> set[str]:
    """Every word with which an address below ``/datasets/`` or ``/api/datasets/`` begins."""
    routes = [str(one.pattern) for one in urlpatterns]
    below_api = [str(one.pattern) for one in api.urls[0] if isinstance(one, URLPattern)]
    routes += [route.removeprefix("datasets/") for route in below_api if route.startswith("datasets/")]
    first = {route.partition("/")[0] for route in routes}
    return {word for word in first if word and "<" not in word}


def test_every_word_that_an_address_begins_with_is_reserved():
    assert {"compare", "build", "import", "imports"} <= fixed_segments()
    assert fixed_segments() == RESERVED


@pytest.mark.parametrize("key", sorted(RESERVED))
def test_nothing_is_imported_under_a_reserved_key(key):
    with pytest.raises(InvalidInputError, match=f"a dataset cannot be called '{key}': reserved are build, "):
        make_request(key=key)
    assert make_request(key=f"{key}-v1").key == f"{key}-v1"


def test_nothing_is_built_under_a_reserved_key(monkeypatch):
    assert not RESERVED & set(GENERATORS)
    monkeypatch.setattr("datasets_app.keys.RESERVED", frozenset({"mine-v1"}))
    with pytest.raises(pydantic.ValidationError, match="a dataset cannot be called 'mine-v1'"):
        BuildRequest(dataset_name="mine", limit=1)
    assert BuildRequest(dataset_name="mine", dataset_version="v2", limit=1).key == "mine-v2"


@pytest.mark.django_db
def test_the_api_refuses_a_reserved_key(client, token_headers):
    answer = client.post(
        "/api/datasets/compare/import",
        data=b'{"prompt": "1 + 1", "steps": [], "final_answer": "2"}',
        content_type="application/octet-stream",
        headers=token_headers("operate"),
    )
    assert answer.status_code == 422
    assert "cannot be called 'compare'" in answer.json()["detail"]
