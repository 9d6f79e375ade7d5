"""Searching the traces of a dataset: built after publishing, in order, the same on every database."""

from importlib import import_module
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_q.models import OrmQ

from datasets_app import search
from datasets_app.models import SearchIndex
from datasets_app.search import build_index, drop_index, find_positions, is_ready, parse_query, plan_index
from datasets_app.services import seed_dataset
from datasets_app.tests.support_quality import member, published
from tunix_site.errors import InvalidInputError

pytestmark = pytest.mark.django_db


@pytest.fixture
def zoo():
    rows = [
        member("A Lion roars", ["the cat is big"], "yes"),
        member("Straße nach Köln", ["fährt"], "ja", family="cups"),
        member("lions and tigers", ["stripes=1299"], "no"),
        *[member(f"filler number {number}", ["lion"], str(number)) for number in range(40)],
    ]
    dataset = published("zoo-v1", rows)
    plan_index(dataset=dataset)
    return dataset


def found(dataset, text: str, **limits) -> list[int]:
    query = parse_query(text)
    assert query
    return find_positions(dataset=dataset, query=query, **limits)


def test_all_words_must_occur_and_the_last_may_be_a_beginning(zoo):
    assert found(zoo, "lion cat") == [0]
    assert found(zoo, "cat lio") == [0]
    assert found(zoo, "lion roar") == [0]
    assert found(zoo, "roar lion") == []
    assert found(zoo, "lions tig") == [2]
    assert found(zoo, "1299") == [2]
    assert found(zoo, "no such words") == []


def test_case_and_form_of_letters_do_not_matter(zoo):
    assert found(zoo, "STRASSE") == [1]
    assert found(zoo, "köln") == [1]
    assert found(zoo, "ＫÖＬＮ") == [1]


@pytest.mark.parametrize(
    "text", ['"lion', "lion'; --", "lion:*", "(lion", "lion & cat", "NEAR(lion cat)", "lion\\"]
)
def test_no_text_is_taken_for_the_database_s_own_language(zoo, text):
    found(zoo, text)


def test_results_come_in_pages_forwards_and_backwards(zoo):
    first = found(zoo, "filler", limit=10)
    assert first == list(range(3, 13))
    assert found(zoo, "filler", after=12, limit=10) == list(range(13, 23))
    assert found(zoo, "filler", before=13, limit=10) == first
    assert found(zoo, "filler", before=5, limit=10) == [3, 4]
    assert found(zoo, "filler", after=999) == []


def test_results_are_narrowed_by_split_and_family(zoo):
    assert found(zoo, "ja", family="cups") == [1]
    assert found(zoo, "ja", family="chain") == []
    sides = [row.position for row in zoo.members.filter(split="test")]
    assert found(zoo, "lion", split="test", limit=50) == [at for at in sides if at > 2 or at == 0]


def test_one_dataset_does_not_find_the_traces_of_another(zoo):
    other = published("other-v1", [member("A Lion roars", ["the cat is big"], "yes")])
    plan_index(dataset=other)
    assert found(other, "lion") == [0]
    assert len(found(zoo, "lion", limit=99)) == 42


@pytest.mark.parametrize(("text", "words"), [("x" * 201, "201 characters"), ("a " * 13, "13 words")])
def test_a_search_too_long_is_refused(text, words):
    with pytest.raises(InvalidInputError, match=words):
        parse_query(text)


def test_one_or_two_latin_letters_are_a_whole_word(zoo):
    rows = [member("li ma", ["s"], "a"), member("lima", ["s"], "a"), member("数学题", ["s"], "a")]
    dataset = published("short-v1", rows)
    plan_index(dataset=dataset)
    assert found(dataset, "li") == [0]
    assert found(dataset, "lim") == [1]
    assert found(dataset, "数学") == [2]


def test_a_beginning_of_very_many_words_finds_the_same(zoo, monkeypatch):
    usual = found(zoo, "fil", limit=99), found(zoo, "lio", family="", limit=99)
    monkeypatch.setattr(search, "MOST_ENDINGS", 0)
    assert (found(zoo, "fil", limit=99), found(zoo, "lio", family="", limit=99)) == usual
    assert len(usual[0]) == 40


def test_a_filter_is_a_word_of_the_index_and_reads_no_row(zoo):
    with CaptureQueriesContext(connection) as asked:
        assert found(zoo, "ja", family="cups", split=None) == [1]
        assert found(zoo, "filler number", family="cups") == []
    assert not any("datasettrace" in one["sql"] for one in asked.captured_queries)


def test_what_marks_a_filter_cannot_be_typed(zoo):
    (mark,) = search._marks(None, "cups")
    assert search.words_in(mark) == [mark.removeprefix(search.MARK)]
    assert found(zoo, mark) == []


def test_an_index_that_nobody_works_at_is_planned_by_who_searches(page, zoo, monkeypatch):
    drop_index(dataset=zoo)
    page("/datasets/zoo-v1/traces/")
    assert not is_ready(dataset=zoo), "nobody searched"
    assert 'id="trace-2"' in page("/datasets/zoo-v1/traces/?q=tigers")
    monkeypatch.setattr(search, "LARGEST_AT_ONCE", 10)
    drop_index(dataset=zoo)
    for _ in range(2):
        assert "still being indexed" in page("/datasets/zoo-v1/traces/?q=tigers")
    assert OrmQ.objects.count() == 1
    SearchIndex.objects.update(updated_at=timezone.now() - search.SILENT_AFTER)
    page("/datasets/zoo-v1/traces/?q=tigers")
    assert OrmQ.objects.count() == 2, "its worker was lost"


def test_an_index_of_before_is_made_anew(zoo):
    migration = import_module("datasets_app.migrations.0006_large_datasets")
    with connection.cursor() as cursor:
        migration.index_anew(apps, SimpleNamespace(connection=connection, execute=cursor.execute))
    assert not is_ready(dataset=zoo)
    assert found(zoo, "lion", limit=99) == []
    search.plan_again(dataset=zoo)
    assert len(found(zoo, "lion", limit=99)) == 42


def test_no_word_is_no_search():
    assert parse_query(" ?! _ ") is None


def test_a_large_dataset_is_indexed_in_the_queue_in_short_batches(monkeypatch):
    monkeypatch.setattr(search, "LARGEST_AT_ONCE", 10)
    monkeypatch.setattr(search, "BATCH", 7)
    dataset = published("big-v1", [member(f"prompt {number}", ["s"], "a") for number in range(14)])
    plan_index(dataset=dataset)
    assert not is_ready(dataset=dataset)
    assert OrmQ.objects.get().task["args"] == (dataset.pk,)
    assert build_index(dataset_id=dataset.pk)
    assert not build_index(dataset_id=dataset.pk), "a second delivery has nothing to do"
    assert is_ready(dataset=dataset)
    assert found(dataset, "prompt") == list(range(14))


def test_a_dropped_index_leaves_no_word_behind(zoo):
    drop_index(dataset=zoo)
    assert not SearchIndex.objects.filter(dataset=zoo).exists()
    assert found(zoo, "lion", limit=99) == []


def test_seeding_indexes_once_it_is_committed(django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        dataset = seed_dataset(key="golden-v1").dataset
    assert is_ready(dataset=dataset)


@pytest.mark.django_db(transaction=True)
def test_a_flush_empties_the_index_too():
    dataset = published("one-v1", [member("walrus", ["s"], "a")])
    plan_index(dataset=dataset)
    call_command("flush", interactive=False, verbosity=0)
    match, word = (
        ("datasets_app_words MATCH %s", '"walrus"')
        if connection.vendor == "sqlite"
        else ("words @@ %s::tsquery", "'walrus'")
    )
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM datasets_app_words WHERE {match}", [word])
        assert cursor.fetchone() == (0,)


@pytest.fixture
def page(client, viewer):
    client.force_login(viewer)

    def read(url: str, status: int = 200) -> str:
        answer = client.get(url)
        assert answer.status_code == status
        return str(answer.content, "utf-8")

    return read


def test_the_browser_searches_filters_and_pages(page, zoo):
    import re

    def shown(query: str) -> list[int]:
        return [int(at) for at in re.findall(r'id="trace-(\d+)"', page(f"/datasets/zoo-v1/traces/{query}"))]

    assert shown("") == list(range(20))
    assert shown("?after=19") == list(range(20, 40))
    assert shown("?after=39") == [40, 41, 42]
    assert shown("?before=20") == list(range(20))
    assert shown("?q=tigers") == [2]
    assert shown("?q=lion&after=25") == list(range(26, 43))
    assert shown("?family=cups") == [1]
    assert shown("?after=x&split=nope") == list(range(20))
    middle = page("/datasets/zoo-v1/traces/?after=19")
    assert 'href="?before=20"' in middle
    assert 'href="?after=39"' in middle
    assert "201 characters" in page("/datasets/zoo-v1/traces/?q=" + "x" * 201)


def test_an_index_that_is_not_ready_is_shown_as_pending(page, zoo):
    SearchIndex.objects.filter(dataset=zoo).update(ready=False)
    assert "still being indexed" in page("/datasets/zoo-v1/traces/?q=lion")
    assert "still being indexed" not in page("/datasets/zoo-v1/traces/")


def test_one_trace_shows_checks_and_where_it_is_used(page):
    Run = apps.get_model("runs", "Run")  # this app does not import runs

    rows = [member("1+1?", ["<<1+1=2>>2", "<<9+9=17>>17"], "17", meta={"tags": ["hard"]})]
    dataset = published("sums-v1", rows)
    other = published("more-v1", [member("p", ["s"], "a"), *rows])
    run = Run.objects.create(dataset=dataset, config={}, device_kind="cpu")
    text = page("/datasets/sums-v1/traces/0/")
    assert "1+1=2: right" in text
    assert "9+9=17: wrong (9+9 is 18)" in text
    assert f'href="/datasets/{other.address}/traces/1/"' in text
    assert f'href="/runs/{run.pk}/"' in text
    assert "meta: tags" in text
    page("/datasets/sums-v1/traces/1/", status=404)
    page("/datasets/sums-v1/traces/99999999999999999999/", status=404)


def test_the_browser_costs_few_queries(page, zoo, django_assert_max_num_queries):
    with django_assert_max_num_queries(14):
        page("/datasets/zoo-v1/traces/?q=lion&after=10")
    with django_assert_max_num_queries(16):
        page("/datasets/zoo-v1/traces/3/")
