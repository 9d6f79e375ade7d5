"""Traces that are handed in, and datasets chosen from what is stored."""

from datetime import timedelta

import pytest
from django.utils import timezone
from pydantic import ValidationError

from datasets_app.build_request import BuildRequest
from datasets_app.builds import build
from datasets_app.models import Trace, TraceSource
from datasets_app.selectors import member_traces, visible_traces
from datasets_app.services import seed_dataset, store_handed_in
from datasets_app.traces import TraceError, make_trace
from tunix_site.errors import InvalidInputError, NotFoundError

pytestmark = pytest.mark.django_db


def hand_in(prompt: str, *, source: str = "", licence: str = "", family: str = "", steps: int = 1, **meta):
    record = make_trace(prompt=prompt, steps=["s"] * steps, final_answer="a", meta=meta)
    return store_handed_in(traces=[(record, source, licence, family)])[0]


def chosen(**request) -> list[str]:
    dataset = build(request=BuildRequest.model_validate({"dataset_name": "mine"} | request)).dataset
    return [member.prompt for member in member_traces(dataset=dataset)]


def test_a_trace_is_stored_once_whoever_hands_it_in():
    first = hand_in("p", source="one", licence="MIT", tag="x")
    second = hand_in("p", source="two", licence="CC0-1.0", tag="y")
    assert (first.created, second.created) == (True, False)
    assert first.trace == second.trace
    kept = {row.source: (row.licence, row.meta) for row in TraceSource.objects.all()}
    assert kept == {"one": ("MIT", {"tag": "x"}), "two": ("CC0-1.0", {"tag": "y"})}


def test_the_same_source_again_keeps_its_newest_meta():
    hand_in("p", source="one", tag="x")
    hand_in("p", source="one", tag="y")
    assert [row.meta for row in TraceSource.objects.all()] == [{"tag": "y"}]


def test_one_bad_trace_keeps_all_out():
    good = make_trace(prompt="p", steps=[], final_answer="a")
    bad = make_trace(prompt="q", steps=[], final_answer=" ")
    with pytest.raises(TraceError, match=r"traces\[1\]\.final_answer: is empty"):
        store_handed_in(traces=[(good, "", "", ""), (bad, "", "", "")])
    assert not Trace.objects.exists()


def test_a_trace_twice_in_one_batch_is_created_once():
    record = make_trace(prompt="p", steps=[], final_answer="a")
    stored = store_handed_in(traces=[(record, "", "", ""), (record, "", "", ""), (record, "other", "", "")])
    assert [one.created for one in stored] == [True, False, False]
    assert TraceSource.objects.count() == 2


def test_generated_and_handed_in_traces_are_visible():
    seed_dataset(key="golden-v1")
    hand_in("p")
    assert visible_traces().count() == 6


def test_a_build_keeps_where_each_trace_came_from():
    hand_in("p", source="lab", licence="MIT", family="f", tag="x")
    dataset = build(request=BuildRequest(dataset_name="mine", limit=5)).dataset
    member = next(member_traces(dataset=dataset))
    assert (member.source, member.licence, member.family, member.meta) == ("lab", "MIT", "f", {"tag": "x"})
    assert dataset.key == "mine-v1"
    assert dataset.recipe["kind"] == "stored"


def test_latest_keeps_those_stored_last_in_the_order_they_came():
    for number in range(6):
        hand_in(f"p{number}")
    assert chosen(limit=3, selection_strategy="latest") == ["p3", "p4", "p5"]


def test_random_is_fixed_by_its_seed_and_does_not_depend_on_row_ids():
    for number in range(40):
        hand_in(f"p{number}")
    first = chosen(limit=10, selection_strategy="random", seed=1)
    assert chosen(limit=10, selection_strategy="random", seed=1) == first
    assert chosen(limit=10, selection_strategy="random", seed=2) != first
    TraceSource.objects.all().delete()
    Trace.objects.filter(memberships=None).delete()
    for number in reversed(range(40)):
        hand_in(f"p{number}")
    assert set(chosen(limit=10, selection_strategy="random", seed=1)) == set(first)


def test_filters_narrow_the_choice():
    hand_in("a", source="one", family="f", steps=1, tag="x", level=1)
    hand_in("b", source="two", family="f", steps=3, tag="y", level=2)
    hand_in("a long prompt", source="two", family="g", steps=2, flag=True)
    assert chosen(filters={"source": "two"}) == ["b", "a long prompt"]
    assert chosen(filters={"family": "f"}) == ["a", "b"]
    assert chosen(filters={"min_steps": 2, "max_steps": 2}) == ["a long prompt"]
    assert chosen(filters={"max_bytes": 5}) == ["a", "b"]
    assert chosen(filters={"meta": {"tag": "y"}}) == ["b"]
    assert chosen(filters={"meta": {"level": 1}}) == ["a"]
    assert chosen(filters={"meta": {"flag": True}}) == ["a long prompt"]
    soon = (timezone.now() + timedelta(hours=1)).isoformat()
    assert len(chosen(filters={"created_before": soon})) == 3
    with pytest.raises(InvalidInputError, match="no stored trace fits"):
        chosen(filters={"created_after": soon})


def test_a_time_without_zone_is_taken_as_the_sites():
    hand_in("a")
    assert chosen(filters={"created_after": "2020-01-01T00:00:00"}) == ["a"]


def test_traces_of_a_dataset_and_split_can_be_chosen():
    golden = seed_dataset(key="golden-v2", count=50).dataset
    hand_in("other")
    assert len(chosen(filters={"dataset": "golden-v2"})) == 50
    assert len(chosen(filters={"dataset": golden.address, "split": "test"})) == golden.test_count
    assert len(chosen(filters={"dataset": "golden-v2", "family": "cups"})) == 10
    with pytest.raises(NotFoundError, match="nope"):
        chosen(filters={"dataset": "nope"})


def test_the_same_choice_again_is_found_again():
    hand_in("a")
    request = BuildRequest.model_validate({"dataset_name": "mine", "filters": {}})
    assert build(request=request).created
    assert not build(request=request).created


def test_splits_follow_the_prompt_also_in_builds():
    seed_dataset(key="golden-v2", count=100)
    dataset = build(request=BuildRequest(dataset_name="mine", limit=100)).dataset
    assert (dataset.train_count, dataset.test_count) == (88, 12)


@pytest.mark.parametrize(
    ("request_body", "words"),
    [
        ({"dataset_name": "mine"}, "there is no generator for mine-v1"),
        ({"dataset_name": "../etc", "limit": 1}, "pattern"),
        ({"dataset_name": "a", "limit": 0}, "greater than or equal to 1"),
        ({"dataset_name": "a", "limit": 10**20}, "less than or equal to 1000000"),
        ({"dataset_name": "a", "limit": 2, "count": 3}, "disagree"),
        ({"dataset_name": "a", "limit": 1, "selection_strategy": "best"}, "latest"),
        ({"dataset_name": "a", "filters": {"colour": "red"}}, "Extra inputs"),
        ({"dataset_name": "a", "filters": {"meta": {"a__gt": 1, "b.c": 2}}}, "pattern"),
        ({"dataset_name": "a", "filters": {"source": "\x00"}}, "NUL"),
        ({"dataset_name": "a", "filters": {"min_steps": -1}}, "greater than or equal to 0"),
    ],
)
def test_a_build_that_makes_no_sense_is_refused(request_body, words):
    with pytest.raises(ValidationError, match=words):
        BuildRequest.model_validate(request_body)


def test_count_means_limit_where_traces_are_stored():
    hand_in("a")
    hand_in("b")
    assert chosen(count=1, selection_strategy="latest") == ["b"]
