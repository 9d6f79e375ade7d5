"""Seeding: the same everywhere, once only, never half visible."""

import json
import threading
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from datasets_app import manifest, publishing
from datasets_app.models import Dataset, DatasetTrace, Trace
from datasets_app.publishing import ABANDONED_AFTER, Draft, discard, member_of, publish, sweep_abandoned
from datasets_app.selectors import (
    family_counts,
    list_datasets,
    member_traces,
    resolve_dataset,
    split_overlap,
    visible_traces,
)
from datasets_app.services import seed_dataset
from datasets_app.tests.test_generators import GOLDEN_HASHES
from datasets_app.traces import make_trace
from tunix_site.errors import InvalidInputError, NotFoundError, UserError

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command(*arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


@pytest.mark.parametrize("key", list(GOLDEN_HASHES))
def test_the_golden_hashes_hold_in_the_database(key):
    result = seed_dataset(key=key)
    assert result.created
    assert result.dataset.content_hash == GOLDEN_HASHES[key]


def test_a_second_seeding_changes_nothing():
    first = seed_dataset(key="golden-v2", count=50)
    before = (Dataset.objects.count(), Trace.objects.count(), DatasetTrace.objects.count())
    second = seed_dataset(key="golden-v2", count=50)
    assert (second.dataset, second.created) == (first.dataset, False)
    assert (Dataset.objects.count(), Trace.objects.count(), DatasetTrace.objects.count()) == before


def test_another_count_or_seed_is_another_content_with_its_parent():
    first = seed_dataset(key="golden-v2", count=10).dataset
    longer = seed_dataset(key="golden-v2", count=20).dataset
    other = seed_dataset(key="golden-v2", count=20, seed=1).dataset
    assert len({first.content_hash, longer.content_hash, other.content_hash}) == 3
    assert (first.parent, longer.parent, other.parent) == (None, first, longer)
    assert Trace.objects.count() == 40, "the first ten of twenty are stored once"
    assert resolve_dataset(address="golden-v2") == other
    assert resolve_dataset(address=first.address) == first


def test_the_recipe_says_everything_that_decides_the_content():
    recipe = seed_dataset(key="golden-v2", count=10, seed=3).dataset.recipe
    assert (recipe["generator"], recipe["generator_version"]) == ("golden-v2", 1)
    assert (recipe["count"], recipe["seed"]) == (10, 3)
    assert recipe["families"]["chain"] == {"version": 1, "operations": 8}


def test_the_traces_come_back_in_order_with_their_splits():
    dataset = seed_dataset(key="golden-v2", count=30).dataset
    members = list(member_traces(dataset=dataset))
    assert [member.position for member in members] == list(range(30))
    assert dataset.train_count + dataset.test_count == 30
    assert len(list(member_traces(dataset=dataset, split="test"))) == dataset.test_count
    assert family_counts(dataset=dataset) == dict.fromkeys(
        ["addition", "chain", "cups", "sorting", "word_problems"], 6
    )
    assert members[0].steps == tuple(step.content for step in members[0].step_records)


def test_no_prompt_is_on_two_sides():
    assert split_overlap(dataset=seed_dataset(key="chain-v1").dataset) == 0


def test_an_overlap_would_be_counted():
    dataset = seed_dataset(key="golden-v2", count=10).dataset
    first, second = dataset.members.all()[:2]
    DatasetTrace.objects.filter(pk=first.pk).update(split="train")
    DatasetTrace.objects.filter(pk=second.pk).update(split="test", trace=first.trace)
    assert split_overlap(dataset=dataset) == 1


# Nothing half-done is visible


def draft(key: str = "mine-v1") -> Draft:
    return Draft(key=key, recipe={"kind": "test"})


def members(count: int, text: str = "prompt"):
    return [
        member_of(
            make_trace(prompt=f"{text} {number}", steps=["a"], final_answer="b"),
            family="",
            source="test",
            licence="",
            meta={},
        )
        for number in range(count)
    ]


def test_a_build_that_breaks_leaves_nothing_visible(monkeypatch):
    monkeypatch.setattr(publishing, "BATCH", 10)
    seen: list[int] = []

    def progress(done: int, total: int) -> None:
        if done:
            seen.append(Dataset.objects.filter(status="building").count())
            assert not list_datasets().exists()
            assert not visible_traces().exists()
        if done == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        publish(draft=draft(), members=lambda: members(30), progress=progress)
    assert seen == [1, 1]
    assert not Dataset.objects.exists()
    assert not DatasetTrace.objects.exists()
    assert not visible_traces().exists()
    with pytest.raises(NotFoundError):
        resolve_dataset(address="mine-v1")


def test_what_a_killed_build_left_is_swept_when_it_is_old():
    trace = seed_dataset(key="golden-v1").dataset.members.all()[0].trace
    long_ago = timezone.now() - ABANDONED_AFTER - timedelta(minutes=1)
    old = Dataset.objects.create(key="mine-v1", touched_at=long_ago)
    young = Dataset.objects.create(key="mine-v1")
    for dataset in (old, young):
        DatasetTrace.objects.create(dataset=dataset, position=0, trace=trace, split="train")
    seed_dataset(key="golden-v1", count=1)
    assert not Dataset.objects.filter(pk=old.pk).exists()
    assert Dataset.objects.filter(pk=young.pk).exists()
    assert DatasetTrace.objects.filter(dataset=young.pk).count() == 1
    assert sweep_abandoned() == 0


def test_a_published_dataset_is_never_discarded():
    dataset = seed_dataset(key="golden-v1").dataset
    discard(dataset)
    dataset.refresh_from_db()
    assert dataset.members.count() == 5


def test_traces_that_change_between_the_passes_are_noticed():
    passes = iter([members(3), members(3, "other")])
    with pytest.raises(UserError, match="changed while they were written"):
        publish(draft=draft(), members=lambda: next(passes))
    assert not Dataset.objects.exists()


def test_an_empty_content_is_refused():
    with pytest.raises(InvalidInputError, match="no trace"):
        publish(draft=draft(), members=list)


def test_a_trace_may_stand_in_a_dataset_twice():
    twice = members(2) + members(1)
    dataset = publish(draft=draft(), members=lambda: twice).dataset
    assert (dataset.trace_count, Trace.objects.count()) == (3, 2)


def test_one_content_of_a_key_is_published_once():
    dataset = seed_dataset(key="golden-v1").dataset
    with pytest.raises(IntegrityError), transaction.atomic():
        Dataset.objects.create(
            key=dataset.key,
            content_hash=dataset.content_hash,
            status="published",
            published_at=timezone.now(),
            trace_count=5,
            train_count=5,
        )


def test_a_loser_of_the_race_takes_the_winners_dataset(monkeypatch):
    winner = seed_dataset(key="golden-v1").dataset
    real = publishing.find_content
    answers = iter([None])
    monkeypatch.setattr(publishing, "find_content", lambda **named: next(answers, real(**named)))
    result = seed_dataset(key="golden-v1")
    assert (result.dataset, result.created) == (winner, False)
    assert Dataset.objects.count() == 1
    assert DatasetTrace.objects.count() == 5


@pytest.mark.django_db(transaction=True)
def test_seedings_at_the_same_time_make_one_dataset():
    outcomes: list[tuple[str, bool]] = []
    together = threading.Barrier(3)

    def seed() -> None:
        try:
            together.wait()
            result = seed_dataset(key="golden-v2", count=300)
            outcomes.append((result.dataset.content_hash, result.created))
        finally:
            connection.close()

    threads = [threading.Thread(target=seed) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 3
    assert [created for _, created in outcomes].count(True) == 1
    assert len({content_hash for content_hash, _ in outcomes}) == 1
    assert Dataset.objects.count() == 1
    assert DatasetTrace.objects.count() == Trace.objects.count() == 300
    assert manifest.is_current(key="golden-v2")


# Addresses


def test_an_unknown_dataset_is_answered_with_what_there_is_and_the_next_command():
    with pytest.raises(NotFoundError, match=r"none yet.*seed_dataset --dataset chain-v1"):
        resolve_dataset(address="chain-v1")
    seed_dataset(key="golden-v1")
    with pytest.raises(NotFoundError, match=r"'nope'.*There are: golden-v1"):
        resolve_dataset(address="nope")
    with pytest.raises(NotFoundError, match="Of golden-v1 there are: golden-v1@bae1fbd9ba34"):
        resolve_dataset(address="golden-v1@ffffff")


@pytest.mark.parametrize(
    "address", ["golden-v1@", "golden-v1@abc", "golden-v1@XYZW", "golden-v1@" + "a" * 65]
)
def test_a_hash_prefix_must_be_one(address):
    with pytest.raises(InvalidInputError, match="4 to 64 digits"):
        resolve_dataset(address=address)


def test_an_ambiguous_prefix_is_refused():
    first = seed_dataset(key="golden-v1", count=1).dataset
    second = seed_dataset(key="golden-v1", count=2).dataset
    Dataset.objects.filter(pk=second.pk).update(content_hash=first.content_hash[:8] + "0" * 56)
    with pytest.raises(InvalidInputError, match="several contents"):
        resolve_dataset(address=f"golden-v1@{first.content_hash[:6]}")


# The command


def test_the_command_prints_one_json_object():
    out, err = run("seed_dataset", "--dataset", "golden-v2", "--count", "10", "--json")
    answer = json.loads(out)
    assert set(answer) == {"key", "content_hash", "trace_count", "created"}
    assert (answer["key"], answer["trace_count"], answer["created"]) == ("golden-v2", 10, True)
    assert "Seeded golden-v2@" in err
    again = json.loads(run("seed_dataset", "--dataset", "golden-v2", "--count", "10", "--json")[0])
    assert again == answer | {"created": False}


def test_the_command_says_that_nothing_changed():
    run("seed_dataset", "--dataset", "golden-v2", "--count", "10")
    run("seed_dataset", "--dataset", "golden-v2", "--count", "11")
    said = run("seed_dataset", "--dataset", "golden-v2", "--count", "10")[0]
    assert "Nothing changed" in said
    assert "addresses the newer golden-v2@" in said


def test_the_command_lists_the_generators():
    said = run("seed_dataset", "--list")[0]
    assert all(word in said for word in ("golden-v1", "golden-v2", "chain-v1", "cups"))
    listed = json.loads(run("seed_dataset", "--list", "--json")[0])
    assert [one["default_count"] for one in listed["generators"]][:3] == [5, 100, 5600]
    by_key = {one["key"]: one for one in listed["generators"]}
    assert by_key["chain-long-v1"]["parameters"] == {"chain_long": {"operations": 16}}


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "--dataset is missing"),
        (["--dataset", "nope"], 1, "There is no generator for dataset 'nope'. Generated datasets: golden-v1"),
        (["--dataset", "golden-v2", "--count", "0"], 1, "count is 0"),
        (["--dataset", "golden-v2", "--seed", "-1"], 1, "seed is -1"),
    ],
)
def test_a_wrong_call_ends_with_its_code_and_a_message(arguments, code, words):
    with pytest.raises(CommandError, match=words) as caught:
        run("seed_dataset", *arguments)
    assert caught.value.returncode == code


@pytest.mark.django_db(transaction=True)
def test_files_that_cannot_be_written_are_told_and_the_dataset_is_kept(artifacts_dir):
    artifacts_dir.mkdir()
    (artifacts_dir / "datasets").write_text("in the way")
    with pytest.raises(UserError, match="is stored, but its files"):
        seed_dataset(key="golden-v1")
    assert resolve_dataset(address="golden-v1").trace_count == 5
    (artifacts_dir / "datasets").unlink()
    assert not seed_dataset(key="golden-v1").created
    assert manifest.is_current(key="golden-v1")
