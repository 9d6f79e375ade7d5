"""Two datasets side by side."""

import random
from collections import Counter

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_q.models import OrmQ
from msgspec.structs import replace

from datasets_app import comparison, comparisons, tasks
from datasets_app.comparison import compare
from datasets_app.lifecycle import delete_dataset
from datasets_app.models import StoredComparison
from datasets_app.publishing import Member
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


def rows_of(number: int, seed: int) -> list[Member]:
    chosen = random.Random(seed)
    rows = [member(f"p{chosen.randrange(number)}", ["s"], str(chosen.randrange(2))) for _ in range(number)]
    return [replace(one, split=chosen.choice(["train", "test"])) for one in rows]


@pytest.mark.parametrize("seed", range(5))
def test_every_trace_is_counted_once_on_its_side(seed):
    a, b = published("a-v1", rows_of(20, seed)), published("b-v1", rows_of(25, seed + 100))
    found = compare(a=a, b=b)
    common = found.unchanged + found.moved + found.changed
    assert (common + found.removed, common + found.added) == (20, 25)
    sides = [Counter(one.members.values_list("trace", "split")) for one in (a, b)]
    assert found.unchanged == (sides[0] & sides[1]).total()
    traces = [Counter(one.members.values_list("trace", flat=True)) for one in (a, b)]
    assert found.unchanged + found.moved == (traces[0] & traces[1]).total()


def test_traces_that_only_stand_elsewhere_are_unchanged():
    rows = [member(f"p{number}", ["s"], "a") for number in range(6)]
    a, b = published("a-v1", rows), published("b-v1", [member("new", ["s"], "a"), *rows[::-1]])
    found = compare(a=a, b=b)
    assert (found.unchanged, found.added, found.removed, found.moved) == (6, 1, 0, 0)


def test_what_stands_at_the_same_place_takes_no_memory_and_no_text(monkeypatch):
    rows = [member(f"p{number}", ["s"], "a") for number in range(30)]
    a, b = published("a-v1", rows), published("a-v1", [*rows, member("new", ["s"], "a")])
    left, right = comparison._other_places(comparison.Comparison(a, b))
    assert (left, [place[0] for place in right]) == ({}, [30])
    with CaptureQueriesContext(connection) as asked:
        compare(a=a, b=b)
    # Both sides, the prompt of the one, its text.
    assert len(asked) == 4


@pytest.fixture
def large(pair, monkeypatch):
    monkeypatch.setattr(comparisons, "LARGEST_AT_ONCE", 5)
    return pair


def test_large_datasets_are_compared_once_in_the_queue(client, viewer, token_headers, large):
    a, b = large
    client.force_login(viewer)
    url, page = f"/api/datasets/compare?a={a.address}&b={b.address}", {"a": a.address, "b": b.address}
    waiting = client.get(url, headers=token_headers("read"))
    assert (waiting.status_code, waiting.json()["status"]) == (202, "queued")
    shown = client.get("/datasets/compare/", page)
    assert "compared in the queue" in shown.content.decode()
    assert shown.headers["Refresh"] == "2"
    (task,) = [one.task for one in OrmQ.objects.all()]
    tasks.run_comparison(*task["args"])
    tasks.run_comparison(*task["args"])
    with CaptureQueriesContext(connection) as asked:
        done = client.get(url, headers=token_headers("read"))
    assert (done.status_code, done.json()) == (200, compare(a=a, b=b).as_json())
    assert not any("datasettrace" in one["sql"] for one in asked.captured_queries)
    shown = client.get("/datasets/compare/", page)
    assert "Refresh" not in shown.headers
    assert f'href="/datasets/{a.address}/traces/2/"' in shown.content.decode()
    assert OrmQ.objects.count() == 1


def test_a_comparison_that_failed_or_was_lost_can_be_tried_again(
    client, viewer, token_headers, large, monkeypatch
):
    a, b = large
    row = comparisons.comparison_of(a=a, b=b)

    def fail(**_: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as broken:
        broken.setattr(comparisons, "compare", fail)
        with pytest.raises(RuntimeError):
            comparisons.run_comparison(comparison_id=row.pk)
    assert comparisons.comparison_of(a=a, b=b).status == "failed"
    client.force_login(viewer)
    shown = client.get("/datasets/compare/", {"a": a.address, "b": b.address})
    assert "Something went wrong" in shown.content.decode()
    answer = client.get(f"/api/datasets/compare?a={a.address}&b={b.address}", headers=token_headers("read"))
    assert answer.status_code == 409
    assert answer.json()["detail"].endswith(f"could not be compared. {comparisons.BROKEN}")
    for status in ("failed", "running", "queued"):
        ago = timezone.now() - StoredComparison.SILENT_AFTER
        StoredComparison.objects.update(status=status, updated_at=ago)
        assert comparisons.comparison_of(a=a, b=b).status == "queued"
        assert comparisons.comparison_of(a=a, b=b).updated_at > ago, "it is not taken up twice"
    assert OrmQ.objects.count() == 4
    comparisons.run_comparison(comparison_id=row.pk)
    assert comparisons.comparison_of(a=a, b=b).status == "completed"


def test_a_deleted_dataset_takes_its_comparisons_along(large):
    a, b = large
    comparisons.comparison_of(a=a, b=b)
    delete_dataset(dataset=b)
    assert not StoredComparison.objects.exists()
