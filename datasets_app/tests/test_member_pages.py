"""Pages of a large dataset: an index finds them, and texts of the page alone are read."""

from itertools import product

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from msgspec.structs import replace

from datasets_app.member_pages import _narrowed, count_members, member_page, next_positions
from datasets_app.models import DatasetTrace
from datasets_app.selectors import positions_of_trace, split_overlap
from datasets_app.tests.support_quality import member, published

pytestmark = pytest.mark.django_db


@pytest.fixture
def mixed():
    """40 traces: every tenth of the family cups, the rest of none; with both splits."""
    rows = [member(f"prompt {at}", ["s"], "a", family="" if at % 10 else "cups") for at in range(40)]
    dataset = published("mixed-v1", rows)
    assert dataset.test_count
    return dataset


@pytest.mark.parametrize(("split", "family"), [*product((None, "train", "test"), (None, "", "cups", "nope"))])
def test_pages_of_any_filter_together_give_every_trace_once_in_order(mixed, split, family):
    wanted = {name: value for name, value in (("split", split), ("family", family)) if value is not None}
    expected = list(mixed.members.filter(**wanted).order_by("position").values_list("position", flat=True))
    total = count_members(dataset=mixed, split=split, family=family)
    assert total == len(expected)
    for offset in range(0, 45, 7):
        page = member_page(dataset=mixed, split=split, family=family, offset=offset, limit=7, total=total)
        assert [one.position for one in page] == expected[offset : offset + 7]
    assert next_positions(dataset=mixed, split=split, family=family, limit=99) == expected


def test_a_far_filtered_page_skips_in_the_index_and_from_the_nearer_end(mixed):
    with CaptureQueriesContext(
        connection,
    ) as asked:
        member_page(dataset=mixed, family="", offset=30, limit=5, total=36)
    skipping, reading = (query["sql"] for query in asked.captured_queries)
    assert "JOIN" not in skipping
    assert "DESC" in skipping
    assert "OFFSET 1" in skipping
    assert "OFFSET" not in reading


@pytest.mark.parametrize(
    ("split", "family", "index"),
    [("train", "cups", "members_of_family"), ("test", "", "members_of_split")],
)
def test_with_two_filters_the_index_with_fewer_rows_is_walked(mixed, split, family, index):
    plan = _narrowed(dataset=mixed, split=split, family=family).explain()
    # PostgreSQL decides by its statistics.
    assert connection.vendor != "sqlite" or index in plan


def test_places_of_a_trace_are_found_without_grouping_the_datasets(mixed):
    other = published("other-v1", [member("prompt 7", ["s"], "a"), member("prompt 7", ["s"], "a")])
    trace = DatasetTrace.objects.get(dataset=mixed, position=7).trace
    with CaptureQueriesContext(connection) as asked:
        assert positions_of_trace(trace=trace, datasets=[mixed, other]) == {mixed.pk: 7, other.pk: 0}
    assert "GROUP BY" not in asked.captured_queries[0]["sql"]
    assert positions_of_trace(trace=trace, datasets=[other]) == {other.pk: 0}


def test_prompts_on_both_sides_are_counted_in_one_pass():
    rows = [member(prompt, ["s"], "a") for prompt in ("one", "One", "two", "two", "three")]
    sides = ["train", "test", "train", "train", "test"]
    dataset = published("sides-v1", [replace(row, split=side) for row, side in zip(rows, sides, strict=True)])
    with CaptureQueriesContext(connection) as asked:
        assert split_overlap(dataset=dataset) == 1
    (query,) = asked.captured_queries
    assert "IN (SELECT" not in query["sql"]
