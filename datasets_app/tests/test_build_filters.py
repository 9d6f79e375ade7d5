"""Stored traces are chosen by tag, length and date, from the API's filters and the admin's form."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.urls import reverse

from datasets_app.build_request import BuildRequest
from datasets_app.models import Dataset, Trace
from datasets_app.services import store_handed_in
from datasets_app.stored import choose
from datasets_app.traces import make_trace

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def stored():
    metas: list[dict[str, Any]] = [
        {"tags": ["hard", "x"]},
        {"tags": "hard"},
        {"tags": {"hard": 1}},
        {"tags": [["hard"], 5]},
        {},
    ]
    for number, meta in enumerate(metas):
        record = make_trace(prompt="p" * (number + 1), steps=["s"], final_answer="a", meta=meta)
        store_handed_in(traces=[(record, "lab", "MIT", "")])
        when = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number)
        Trace.objects.filter(prompt=record.prompt).update(created_at=when)


def chosen(**filters) -> list[int]:
    request = BuildRequest.model_validate({"dataset_name": "mine", "filters": filters})
    rows = Trace.objects.in_bulk([choice.trace_id for choice in choose(request)])
    return sorted(len(row.prompt) for row in rows.values())


def test_a_tag_is_an_element_of_the_list_and_nothing_else():
    assert chosen(tag="hard") == [1]
    assert chosen(tag="x") == [1]
    assert chosen(tag="5") == []
    assert chosen(tag="' OR 1=1") == []


def test_length_and_date_bound_the_choice():
    assert chosen(min_bytes=4, max_bytes=5) == [2, 3]
    assert chosen(created_after="2026-01-02T00:00:00Z", created_before="2026-01-04T00:00:00Z") == [2, 3]


def test_the_form_of_the_admin_takes_the_same_filters(client, make_user):
    client.force_login(make_user("olga", "operator", is_staff=True))
    form = {
        "dataset_name": "mine",
        "dataset_version": "v1",
        "selection_strategy": "latest",
        "seed": "0",
        "tag": "hard",
        "max_bytes": "9",
        "created_before": "2027-01-01 00:00",
    }
    client.post(reverse("admin:datasets_app_dataset_build"), form)
    dataset = Dataset.objects.get(key="mine-v1")
    assert dataset.trace_count == 1
    assert set(dataset.recipe["filters"]) == {"tag", "max_bytes", "created_before"}
