"""The page of the list of runs: columns, order, groups, states of emptiness, and wild names."""

import datetime as dt
import re

import pytest
from django.http import QueryDict
from django.utils import timezone
from django.utils.html import escape

from runs.listing.cells import rounded
from runs.listing.columns import COLUMNS
from runs.listing.organising import archive, change_tags
from runs.listing.search import search_runs
from runs.models import Run
from runs.states import Status
from runs.tests.support import fresh, make_dataset, make_run, run_in
from tunix_site.tests.pages import WILD, page_text

pytestmark = pytest.mark.django_db


@pytest.fixture
def page(client, operator):
    client.force_login(operator)

    def read(code: int = 200, /, **query: str) -> str:
        return page_text(client.get("/runs/", query_params=query), code)

    return read


def order(text: str) -> list[int]:
    return [int(number) for number in re.findall(r'<tr data-run-id="(\d+)"', text)]


def heads(text: str) -> list[str]:
    row = re.search(r"<thead>(.*?)</thead>", text, re.DOTALL)
    assert row is not None
    return [re.sub("<[^>]*>", "", head).strip() for head in re.findall(r"<th[ >].*?</th>", row[1])][1:]


def of(run: Run, **columns: object) -> Run:
    Run.objects.filter(pk=run.pk).update(**columns)
    return fresh(run)


def test_the_list_shows_what_people_expect_at_first(page):
    data = make_dataset()
    run = of(
        make_run(dataset=data, name="first"), status=Status.RUNNING, step=5, step_seconds=600.0,
        last_loss=0.125, tokens_per_second=12345.6, started_at=timezone.now(), device_name="Some CPU",
    )  # fmt: skip
    change_tags(run, add=["baseline"])
    text = page()
    assert heads(text) == [
        "Run", "Status", "Progress", "Dataset", "Model", "Loss", "Best evaluation", "Tokens/s",
        "Duration", "Started", "Tags",
    ]  # fmt: skip
    for fact in ("badge-running", "5 / 10", "about 50 min left", "golden-v2", f"@{data.content_hash[:8]}",
                 "0.1250", "12,346", 'href="?q=tag:baseline"', "49.9k"):  # fmt: skip
        assert fact in text
    assert "Some CPU" in page(columns="run,device")


def test_a_run_without_steps_can_be_sorted_and_searched_for_by_progress(page):
    # PostgreSQL refuses to divide by nothing; SQLite gives no value.
    run = of(make_run(), total_steps=0)
    half = of(make_run(), total_steps=10, step=5)
    for sort in ("progress", "-progress"):
        text = page(q="", sort=sort)
        assert text.index(f'data-run-id="{half.pk}"') < text.index(f'data-run-id="{run.pk}"')
    for query in ("progress<60%", "progress>=50%", "progress:50%"):
        found = page(q=query)
        assert f'data-run-id="{half.pk}"' in found
        assert f'data-run-id="{run.pk}"' not in found


def test_a_tag_leads_to_the_runs_that_have_it(page):
    run = make_run()
    change_tags(run, add=["a+b", "größe"])
    make_run()
    for link in re.findall(r'class="tag" href="\?([^"]+)"', page()):
        assert [one.pk for one in search_runs(QueryDict(link)["q"])] == [run.pk], link


def test_every_column_is_shown_for_a_bare_run_and_for_a_full_one(page):
    make_run()
    run_in(Status.COMPLETED, dataset=make_dataset())
    text = page(columns=",".join([*COLUMNS, "config.learning_rate", "lr", "batch_size"]))
    assert len(heads(text)) == len(COLUMNS) + 2
    assert "learning_rate" in heads(text)


def test_columns_are_chosen_and_ordered_in_the_address_and_in_a_plain_form(page, client):
    make_run(config={"learning_rate": 0.0025})
    assert heads(page(columns="loss,config.learning_rate,status")) == [
        "Run",
        "Loss",
        "learning_rate",
        "Status",
    ]
    answer = client.get("/runs/?q=&columns=status&columns=owner&columns=lr&columns=")
    assert heads(str(answer.content, "utf-8")) == ["Run", "Status", "Owner", "learning_rate"]
    assert "0.0025" in str(answer.content, "utf-8")
    # Places are changed by links.
    assert "columns=run,owner,status,config.learning_rate" in str(answer.content, "utf-8")
    text = page(columns="nonsense,status")
    assert "There is no column &#x27;nonsense&#x27;." in text
    assert heads(text) == ["Run", "Status"]


def test_runs_are_sorted_with_those_without_a_value_last(page):
    low, none, high = make_run(name="b"), make_run(name="c"), make_run(name="a")
    of(low, last_loss=0.5, started_at=timezone.now() - dt.timedelta(days=1))
    of(high, last_loss=1.5, started_at=timezone.now())
    assert order(page()) == [high.pk, none.pk, low.pk]
    assert order(page(sort="loss")) == [low.pk, high.pk, none.pk]
    assert order(page(sort="-loss")) == [high.pk, low.pk, none.pk]
    assert order(page(sort="-started")) == [high.pk, low.pk, none.pk]
    assert order(page(sort="name")) == [high.pk, low.pk, none.pk]
    assert order(page(sort="run")) == [low.pk, none.pk, high.pk]
    text = page(sort="-loss")
    assert 'aria-sort="descending"' in text
    assert "cannot be sorted by &#x27;tags&#x27;" in page(sort="tags")
    for name, column in COLUMNS.items():
        if column.sort is not None:
            assert len(order(page(sort=f"-{name},run"))) == 3


def test_runs_are_sorted_by_a_field_of_the_config(page):
    rates = {
        rate: make_run(config={"learning_rate": rate, "final_learning_rate": 0}).pk
        for rate in (0.01, 0.0003, 0.002)
    }
    assert order(page(sort="lr")) == [rates[0.0003], rates[0.002], rates[0.01]]
    assert order(page(sort="-config.learning_rate")) == [rates[0.01], rates[0.002], rates[0.0003]]


def test_runs_are_gathered_in_groups_that_are_counted(page):
    data = make_dataset()
    first, second, third = make_run(dataset=data), make_run(), make_run(dataset=data)
    text = page(group="dataset")
    assert order(text) == [third.pk, first.pk, second.pk]
    assert re.findall(r'rowgroup"><bdi>([^<]*)</bdi> <span class="muted">([^<]*)</span>', text) == [
        ("golden-v2", "2 runs"),
        ("no dataset", "1 run"),
    ]
    text = page(group="config.learning_rate")
    assert "learning_rate 0.001</bdi>" in text
    assert "3 runs" in text
    for group in ("status", "kind", "device", "owner", "micro_batch", "deterministic"):
        assert "rowgroup" in page(group=group)
    assert "Nothing is grouped by" in page(group="moon")


def test_archived_runs_are_hidden_until_asked_for(page):
    run = archive(make_run(name="put away"))
    assert "archived ones are hidden" in page(q="")
    assert order(page(q="archived:yes")) == [run.pk]
    assert order(page(q="archived:any")) == [run.pk]


def test_an_empty_a_fruitless_and_a_wrong_search_each_say_what_to_do(page):
    assert "There are no runs yet" in page()
    make_run()
    text = page(q='name:"<b>"')
    assert "No run fits this filter" in text
    assert "name:&quot;&lt;b&gt;&quot;" in text
    text = page(q="stauts:running")
    assert "Did you mean status" in text
    assert 'aria-invalid="true"' in text
    assert order(text) == []


def test_a_stranger_to_the_site_may_not_look(client, make_user):
    client.force_login(make_user("nobody"))
    assert client.get("/runs/").status_code == 403
    assert client.get("/runs/export.csv").status_code == 403
    assert client.post("/runs/views/", {"do": "save", "name": "x"}).status_code == 403
    assert client.post("/runs/act/", {"action": "archive", "run": "1"}).status_code == 403


@pytest.mark.parametrize("name", [WILD, "x" * 300, "\N{RIGHT-TO-LEFT OVERRIDE}" * 40, "🦜" * 300])
def test_wild_names_stay_text(page, name):
    make_run(name=name)
    text = page(columns="name,status")
    assert "<script>alert" not in text
    assert text.count("<bdi") >= 1
    assert escape(name[:70]) in text


def test_the_address_of_the_next_page_keeps_the_rest(page):
    for _ in range(53):
        make_run()
    text = page(q="status:draft", sort="run", columns="loss")
    assert "53 runs</span> fit" in text
    following = re.search(r'href="(\?[^"]*page=2[^"]*)"', text)
    assert following is not None
    for part in ("sort=run", "columns=loss", "q=status"):
        assert part in following[1]
    assert len(order(page(q="status:draft", page="2"))) == 3
    assert len(order(page(q="status:draft", page="9999"))) == 3


@pytest.mark.parametrize(
    ("value", "text"),
    [(49_888, "49.9k"), (423_040, "423k"), (999_999, "1M"), (1_236_000_000, "1.24B"), (12, "12")],
)
def test_large_numbers_are_short(value, text):
    assert rounded(value) == text
