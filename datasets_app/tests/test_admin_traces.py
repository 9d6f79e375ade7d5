"""The admin's lists of traces, which may have millions of rows."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from datasets_app import admin_traces
from datasets_app.facts import facts_of
from datasets_app.services import seed_dataset

pytestmark = pytest.mark.django_db


RARE = {"split__exact": "train", "family": "cups"}


@pytest.fixture
def listed(client, make_user):
    client.force_login(make_user("vera", "viewer", is_staff=True))

    def read(model: str, **query: object):
        url = reverse(f"admin:datasets_app_{model}_changelist")
        return client.get(url, query)

    return read


@pytest.fixture
def dataset():
    made = seed_dataset(key="golden-v2", count=30).dataset
    facts_of(dataset=made)
    return made


@pytest.mark.parametrize("model", ["trace", "datasettrace"])
def test_no_more_rows_are_counted_than_can_be_listed(listed, dataset, monkeypatch, model):
    monkeypatch.setattr(admin_traces, "MOST_LISTED", 20)
    with CaptureQueriesContext(connection) as asked:
        answer = listed(model)
    assert answer.context["cl"].result_count == 20
    counted = [one["sql"] for one in asked.captured_queries if "COUNT(" in one["sql"]]
    assert any(f'"datasets_app_{model}"' in sql for sql in counted)
    assert all("LIMIT 20" in sql for sql in counted)
    assert not any("ORDER BY" in sql for sql in counted)


@pytest.mark.parametrize("query", [{}, {"o": "4"}, {"split__exact": "test"}, {"family": "cups"}, RARE])
def test_places_in_datasets_come_in_the_order_of_an_index(listed, dataset, query):
    found = listed("datasettrace", **query).context["cl"].queryset
    # PostgreSQL may sort so few rows all the same.
    assert connection.vendor != "sqlite" or "TEMP B-TREE" not in found.explain()
    assert connection.vendor != "sqlite" or query != RARE or "members_of_family" in found.explain()
    positions = [row.position for row in found]
    assert positions == sorted(positions)


@pytest.mark.parametrize("model", ["trace", "datasettrace"])
def test_a_trace_is_found_by_the_beginning_of_its_hash_alone(listed, dataset, model):
    trace = dataset.members.get(position=3).trace
    with CaptureQueriesContext(connection) as asked:
        found = listed(model, q=trace.content_hash[:12].upper()).context["cl"].queryset
    assert [getattr(row, "trace", row) for row in found] == [trace]
    assert not any("LIKE" in one["sql"] for one in asked.captured_queries)
    assert connection.vendor != "sqlite" or "PRIMARY KEY" in found.explain()
    assert not listed(model, q=trace.content_hash[:3]).context["cl"].queryset
    assert not listed(model, q="what is").context["cl"].queryset


def test_the_filters_offer_what_the_stored_counts_name(listed, dataset):
    published = seed_dataset(key="chain-v1", count=3).dataset
    facts_of(dataset=published)
    with CaptureQueriesContext(connection) as asked:
        text = listed("datasettrace").content.decode()
    assert "?family=cups" in text
    assert f"?dataset__id__exact={published.pk}" in text
    assert not any("DISTINCT" in one["sql"] for one in asked.captured_queries)
    narrowed = listed("datasettrace", dataset__id__exact=published.pk)
    assert "family=chain" in narrowed.content.decode()
    assert "family=cups" not in narrowed.content.decode()
    assert len(narrowed.context["cl"].queryset) == 3
    assert len(listed("datasettrace", family="cups").context["cl"].queryset) == 6
    assert {row.split for row in listed("datasettrace", **RARE).context["cl"].queryset} == {"train"}
    assert listed("datasettrace", dataset__id__exact="x").status_code == 302
