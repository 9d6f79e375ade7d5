"""Pages of the stored traces, however many there are."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from datasets_app import stored_pages
from datasets_app.models import Trace
from datasets_app.services import store_handed_in
from datasets_app.stored_pages import stored_page
from datasets_app.traces import make_trace

pytestmark = pytest.mark.django_db


@pytest.fixture
def prompts():
    """Ten visible traces p0 to p9 from two sources, then one that nothing holds, then p10 to p12."""

    def store(numbers):
        for number in numbers:
            record = make_trace(prompt=f"p{number}", steps=["s"], final_answer="a")
            store_handed_in(traces=[(record, "odd" if number % 2 else "even", "", "")])

    store(range(10))
    hashes = {"content_hash": "0" * 64, "prompt_hash": "0" * 64}
    Trace.objects.create(**hashes, prompt="hidden", final_answer="x", step_count=0, size_bytes=7)
    store(range(10, 13))

    def page(offset: int, limit: int, source: str | None = None, content_hash: str | None = None):
        found = stored_page(source=source, content_hash=content_hash, offset=offset, limit=limit)
        return [trace.prompt for trace in found.traces], found.count, found.is_exact

    return page


def test_few_traces_are_counted_and_skipped_exactly(prompts):
    assert prompts(0, 5) == (["p12", "p11", "p10", "p9", "p8"], 13, True)
    assert prompts(10, 5) == (["p2", "p1", "p0"], 13, True)
    assert prompts(20, 5) == ([], 13, True)


def test_of_many_the_number_is_the_most_there_can_be_and_no_page_loses_one(prompts, monkeypatch):
    monkeypatch.setattr(stored_pages, "EXACT", 4)
    pages = [prompts(offset, 2) for offset in range(0, 14, 2)]
    assert {(count, exact) for _, count, exact in pages} == {(14, False)}
    shown = [prompt for page, _, _ in pages for prompt in page]
    assert set(shown) == {f"p{number}" for number in range(13)}
    assert "hidden" not in shown


def test_a_far_page_tells_of_its_own_rows_alone_whether_they_are_visible(prompts, monkeypatch):
    monkeypatch.setattr(stored_pages, "EXACT", 4)
    with CaptureQueriesContext(connection) as asked:
        prompts(10, 2)
    (skipping,) = [one["sql"] for one in asked.captured_queries if "OFFSET" in one["sql"]]
    assert "EXISTS" not in skipping
    assert "prompt" not in skipping


def test_pages_of_one_source_or_hash(prompts):
    assert prompts(1, 2, source="odd") == (["p9", "p7"], 6, True)
    assert prompts(0, 2, source="nope") == ([], 0, True)
    wanted = Trace.objects.get(prompt="p3").content_hash
    assert prompts(0, 9, content_hash=wanted) == (["p3"], 1, True)
    assert prompts(0, 9, content_hash=wanted, source="even") == ([], 0, True)
    assert prompts(0, 9, content_hash="0" * 64) == ([], 0, True)


def test_the_answer_says_whether_the_number_is_exact(prompts, client, token_headers, monkeypatch):
    headers = token_headers("read")
    assert client.get("/api/traces", headers=headers).json()["count_is_exact"] is True
    monkeypatch.setattr(stored_pages, "EXACT", 4)
    answer = client.get("/api/traces", headers=headers).json()
    assert (answer["count"], answer["count_is_exact"]) == (14, False)
