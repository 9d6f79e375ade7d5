"""The search language of the list of runs: what each term finds, and how nonsense is refused."""

import datetime as dt
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from runs.listing.organising import change_tags
from runs.listing.search import search_runs
from runs.listing.syntax import SearchError, parse
from runs.listing.values import moments, number, seconds, share, size
from runs.models import Evaluation, Run
from runs.states import Kind, Status
from runs.tests.support import make_dataset, make_run

NOW = dt.datetime(2026, 6, 15, 12, tzinfo=dt.UTC)


def shape(query: str) -> list[tuple[Any, ...]]:
    return [(term.negated, term.field, term.operator, term.values) for term in parse(query)]


@pytest.mark.parametrize(
    ("query", "terms"),
    [
        ("", []),
        ("word", [(False, "", ":", ("word",))]),
        ("status:running", [(False, "status", ":", ("running",))]),
        ("-Tag:x,y", [(True, "tag", ":", ("x", "y"))]),
        ("lr<=1e-3  loss!=2", [(False, "lr", "<=", ("1e-3",)), (False, "loss", "!=", ("2",))]),
        ('name:"two words" “a b”', [(False, "name", ":", ("two words",)), (False, "", ":", ("a b",))]),
        ('"status:x"', [(False, "", ":", ("status:x",))]),
        ("- -a 7-3", [(False, "", ":", ("-",)), (True, "", ":", ("a",)), (False, "", ":", ("7-3",))]),
        ("started>2026-01-01T10:30", [(False, "started", ">", ("2026-01-01T10:30",))]),
        ("tag:a,,b", [(False, "tag", ":", ("a", "b"))]),
    ],
)  # fmt: skip
def test_a_search_is_read_into_terms(query, terms):
    assert shape(query) == terms


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (number, "1e-3", 0.001), (number, "1.5m", 1.5e6), (number, "2B", 2e9), (number, "-4", -4),
        (number, "1_000", 1000), (number, "1e999", None), (number, "nan", None), (number, "3 apples", None),
        (size, "1k", 1024), (size, "1GB", 1e9), (size, "1GiB", 2**30), (size, "12", 12), (size, "1xb", None),
        (share, "90%", 0.9), (share, "0.25", 0.25), (share, "half", None),
        (seconds, "90", 90), (seconds, "1h30m", 5400), (seconds, "2d", 172800), (seconds, "5min", 300),
        (seconds, "-5", None), (seconds, "1h x", None), (seconds, "soon", None),
    ],
)  # fmt: skip
def test_values_are_read_as_people_write_them(read, text, value):
    assert read(text) == (None if value is None else pytest.approx(value))


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2026", "2026-01-01", "2027-01-01"),
        ("2026-02", "2026-02-01", "2026-03-01"),
        ("2026-12", "2026-12-01", "2027-01-01"),
        ("2026-02-28", "2026-02-28", "2026-03-01"),
        ("2026-02-28T23:59", "2026-02-28T23:59", "2026-03-01"),
        ("today", "2026-06-15", "2026-06-16"),
        ("yesterday", "2026-06-14", "2026-06-15"),
        ("36h", "2026-06-14", "2026-06-14"),
    ],
)
def test_times_are_spans_of_the_calendar_or_how_long_ago(text, start, end):
    wanted = tuple(dt.datetime.fromisoformat(one).replace(tzinfo=dt.UTC) for one in (start, end))
    assert moments(text, now=NOW) == wanted


@pytest.mark.parametrize("text", ["2026-13", "2026-02-30", "0000", "9999", "soon", "d", "99999999999999d"])
def test_what_is_no_time_is_none(text):
    assert moments(text, now=NOW) is None


def make(name: str, config: dict[str, Any] | None = None, **columns: Any) -> Run:
    run = make_run(name=name, config=config or {})
    Run.objects.filter(pk=run.pk).update(**columns)
    run.refresh_from_db()
    return run


@pytest.fixture
def runs(db):
    """Three trainings and an evaluation; the fourth training is archived."""
    ann = User.objects.create(username="ann")
    data = make_dataset()
    low = make(
        "alpha Baseline", {"learning_rate": 1e-4, "final_learning_rate": 1e-5, "seed": 7}, owner=ann,
        dataset=data, status=Status.COMPLETED, step=10, last_loss=0.25, tokens_per_second=2000.0,
        parameters=2_000_000, checkpoint_bytes=5 * 2**30, started_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        finished_at=dt.datetime(2026, 1, 1, 3, tzinfo=dt.UTC), notes="a spike at 300",
    )  # fmt: skip
    mid = make(
        "beta 100%_done", {"learning_rate": 1e-3, "micro_batch": "auto", "deterministic": True},
        status=Status.RUNNING, step=5, last_loss=0.75, step_seconds=60.0, device_kind="gpu", device_index=3,
        device_name="NVIDIA H200", started_at=timezone.now() - dt.timedelta(hours=1), reason="out of memory",
    )  # fmt: skip
    high = make("gamma", {"learning_rate": 1e-2, "micro_batch": 4, "optimizer": "muon"}, kind=Kind.BENCH)
    make("old", {"learning_rate": 1e-4}, archived_at=NOW, status=Status.FAILED)
    change_tags(low, add=["baseline", "paper/fig-3"])
    change_tags(mid, add=["baseline"])
    graded = Evaluation.objects.create(
        run=low, made_by=low, attempt=1, step=10, split="test", n=8, correct=6, loss=0.5,
        answer_accuracy=0.75, interval_low=0.4, interval_high=0.9, seconds=1, generated_tokens=1,
        created_at=NOW,
    )  # fmt: skip
    Run.objects.filter(pk=low.pk).update(best_evaluation=graded)
    return {"low": low, "mid": mid, "high": high, "user": ann}


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", "low mid high"), ("status:running", "mid"), ("status:running,completed", "low mid"),
        ("status:alive", "mid"), ("-status:running", "low high"), ("status!=running", "low high"),
        ("status:interrupted", ""), ("status:failed archived:yes", "old"), ("archived:no", "low mid high"),
        ("archived:any", "low mid high old"), ("kind:bench", "high"), ("kind=train", "low mid"),
        ("baseline", "low"), ("BASELINE", "low"), ("spike", "low"), ("-spike", "mid high"),
        ('"at 300"', "low"), ("100%_", "mid"), ("%", "mid"), ("name:alpha", "low"), ("name=gamma", "high"),
        ("name=gam", ""), ("tag:baseline", "low mid"), ("tag:BASELINE tag:paper/fig-3", "low"),
        ("-tag:baseline", "high"), ("tag:none", "high"), ("tag:any", "low mid"),
        ("tag:paper/fig-3,nothing", "low"), ("dataset:golden", "low"), ("dataset=golden", ""),
        ("dataset=golden-v2", "low"), ("dataset:none", "mid high"), ("dataset:golden@ffffffff", ""),
        ("lr<1e-3", "low"), ("lr<=1e-3", "low mid"), ("learning_rate>1e-3", "high"),
        ("config.lr:1e-3", "mid"), ("lr:1e-4..1e-3", "low mid"), ("lr:0.01,0.001", "mid high"),
        ("-lr<1e-3", "mid high"), ("seed:7", "low"), ("micro_batch:auto", "mid"),
        ("micro_batch>=4", "high"), ("micro_batch<4", "low"), ("micro_batch=4", "high"),
        ("deterministic:yes", "mid"), ("deterministic:no", "low high"), ("opt:muon", "high"),
        ("model:nan", "low mid high"), ("loss<0.5", "low"), ("loss>=0.75", "mid"), ("loss:none", "high"),
        ("loss:any", "low mid"), ("-loss<0.5", "mid high"), ("accuracy>=75%", "low"), ("accuracy>0.75", ""),
        ("eval_loss<1", "low"), ("accuracy:none", "mid high"), ("params>1m", "low"),
        ("params<1m", "mid high"), ("speed>1k", "low"), ("size>=5GiB", "low"), ("size<1", "mid high"),
        ("progress:50%", "mid"), ("progress>=0.5", "low mid"), ("step>4", "low mid"), ("eta<=5m", "mid"),
        ("eta>1h", ""), ("duration>2h", "low"), ("duration<2h", "mid"), ("-duration>2h", "mid high"),
        ("duration:3h", "low"), ("started:2026-01-01", "low"), ("started<2026-01-02", "low"),
        ("started>2026-01-01", "mid"), ("started>=2026-01-01", "low mid"), ("started<=2026", "low mid"),
        ("started>2h", "mid"), ("started:none", "high"), ("finished:2026-01", "low"),
        ("created:today", "low mid high"), ("device:gpu", "mid"), ("device:gpu:3", "mid"),
        ("device:gpu:2", ""), ("device:h200", "mid"), ("device:cpu", "low high"), ("owner:me", "low"),
        ("owner:ANN", "low"), ("owner:none", "mid high"), ("-owner:me", "mid high"),
        ("reason:memory", "mid"), ("parent:none", "low mid high"), ("attempt>0", ""),
        ("priority:0", "low mid high"), ("priority:0.5", ""), ("id>999999999999999999", ""),
        ("id<1e18", "low mid high"), ("loss<0.5 lr<1e-3 tag:baseline", "low"),
    ],
)  # fmt: skip
def test_a_term_finds_what_it_says(runs, query, names):
    found = search_runs(query, user=runs["user"])
    wanted = {runs[name].name if name != "old" else "old" for name in names.split()}
    assert set(found.values_list("name", flat=True)) == wanted


def test_runs_are_found_by_their_numbers(runs):
    low, mid = runs["low"], runs["mid"]
    for query in (f"{low.pk}", f"#{low.pk}", f"id:{low.pk}", f"run={low.pk}"):
        assert low in search_runs(query)
    assert set(search_runs(f"id:{low.pk}..{mid.pk}")) == {low, mid}


@pytest.mark.parametrize(
    ("query", "word", "hint"),
    [
        ("stauts:running", "stauts:running", "Did you mean status"),
        ("learning_rat<1", "learning_rat<1", "learning_rate"),
        ("config.nothing_near_it:1", "config.nothing_near_it:1", "There are: status, kind"),
        ("http://here", "http://here", "goes into quotes"),
        ("status:asleep", "status:asleep", "Write draft, queued, starting"),
        ("status<running", "status<running", "for example status:running,queued"),
        ("lr<fast", "lr<fast", "Write a number"),
        ("lr:1..", "lr:1..", "Write a number"),
        ("opt:adam", "opt:adam", "adamw, adafactor"),
        ("micro_batch<auto", "micro_batch<auto", "Write a number"),
        ("started>soon", "started>soon", "a day as 2026-01-31"),
        ("size>big", "size>big", "bytes, as 500MB"),
        ("duration>long", "duration>long", "1h30m"),
        ("accuracy>most", "accuracy>most", "90%"),
        ("deterministic:maybe", "deterministic:maybe", "Write yes or no"),
        ("device:gpu:x", "device:gpu:x", "gpu:0"),
        ("tag:", "tag:", "Write it right behind"),
        ('name:"never ends', '"never ends', "Add a"),
        ("a " * 60, "", "more than 50 terms"),
        ("reason:" + "a," * 250, "", "more than 200 values"),
        (" ".join(["id:" + "1," * 25] * 20), "", "more than 200 values"),
        ("x" * 2001, "", "2001 characters"),
    ],
)
@pytest.mark.django_db
def test_nonsense_is_named_with_what_would_fit(query, word, hint):
    with pytest.raises(SearchError) as caught:
        list(search_runs(query))
    assert hint in str(caught.value)
    assert word in caught.value.word
    if word:
        assert word.strip('"') in str(caught.value) or word.partition(":")[0] in str(caught.value)


@pytest.mark.django_db
def test_no_text_breaks_the_search():
    for query in ("\x00", "'; DROP TABLE", "(((", "%__%", "tag:'", 'name:"\\"', "🦜 שלום", "config.lr:1,2"):
        list(search_runs(query))


@pytest.mark.django_db
@pytest.mark.parametrize("field", ["name", "reason", "tag", "id", "dataset", "eta", "created", "owner"])
def test_as_many_values_as_a_search_takes_are_no_deeper_than_a_database_reads(field):
    value = {"id": "1..2", "eta": "5m", "created": "7d"}.get(field, "a")
    for sign in ("", "-"):
        assert not list(search_runs(f"{sign}{field}:" + ",".join([value] * 200)))
