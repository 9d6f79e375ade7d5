"""Two datasets side by side."""

import pytest
from msgspec.structs import replace

from datasets_app.comparison import compare
from datasets_app.tests.support_quality import member, published

pytestmark = pytest.mark.django_db


@pytest.fixture
def pair():
    same, gone = member("same", ["s"], "a"), member("gone", ["s"], "a")
    before, after = member("How many?", ["s"], "1"), member("how  MANY?", ["s", "t"], "1")
    moved = replace(member("moved", ["s"], "a"), split="train")
    a = published("data-v1", [same, same, gone, before, moved])
    b = published("data-v1", [member("new", ["s"], "a"), replace(moved, split="test"), after, same, same])
    return a, b


def test_what_was_added_removed_and_changed_is_counted_and_named(pair):
    found = compare(a=pair[0], b=pair[1])
    counts = (found.unchanged, found.added, found.removed, found.changed, found.moved)
    assert counts == (2, 1, 1, 1, 1)
    assert [change.prompt for change in found.examples["added"]] == ["new"]
    assert [change.prompt for change in found.examples["removed"]] == ["gone"]
    (changed,) = found.examples["changed"]
    assert (changed.position_a, changed.position_b) == (3, 2)
    assert {"prompt", "steps"} <= set(changed.what)
    assert found.examples["moved"][0].what == ["split"]


def test_a_dataset_is_the_same_as_itself(pair):
    found = compare(a=pair[0], b=pair[0])
    assert (found.unchanged, found.added, found.removed, found.changed) == (5, 0, 0, 0)


def test_the_api_compares(client, token_headers, pair):
    a, b = pair
    answer = client.get(f"/api/datasets/compare?a={a.address}&b={b.address}", headers=token_headers("read"))
    assert answer.status_code == 200
    assert (answer.json()["added"], answer.json()["removed"]) == (1, 1)
    missing = client.get(f"/api/datasets/compare?a=nope&b={b.address}", headers=token_headers("read"))
    assert missing.status_code == 404


def test_the_page_compares_and_explains_what_it_cannot(client, viewer, pair):
    client.force_login(viewer)
    a, b = pair
    text = client.get("/datasets/compare/", {"a": a.address, "b": b.address}).content.decode()
    assert f'href="/datasets/{a.address}/traces/2/"' in text
    assert "There is no dataset" in client.get("/datasets/compare/", {"a": "nope", "b": "x"}).content.decode()
    assert client.get("/datasets/compare/").status_code == 200
    assert f"?a={a.address.replace('@', '%40')}" in client.get(f"/datasets/{b.address}/").content.decode()
