"""What of an evaluation's prompts stands in the data that its model was trained on."""

import json

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_q.models import OrmQ

from runs.forking import clone_run, fork_run
from runs.ingest import ingest_attempt
from runs.models import Checkpoint, Evaluation, Run, Sample
from runs.overlap import checking
from runs.overlap.checking import check, check_waiting
from runs.overlap.facts import overlap_facts
from runs.overlap.measure import COMMON_ABOVE, Search
from runs.overlap.measure import Asked as Wanted
from runs.overlap.queue import Asking
from runs.overlap.sources import training_sources
from runs.overlap.tests.support import LONG, asked, content, evaluated, fresh, kinds, trace, trained_on
from runs.promotion.following import look_and_follow
from runs.tests.support import (
    checkpoint_info,
    finish,
    journal,
    make_run,
    release_device,
    start,
)

pytestmark = pytest.mark.django_db


def test_a_prompt_counts_by_the_strongest_kind_in_which_it_stands_in_the_training_data():
    data = content(
        "mixed",
        trace("same trace", ["one"], "1"),
        trace("Same   PROMPT", ["other"], "2"),
        trace("exact prompt", ["other"], "3"),
        trace("unlike", [LONG.format("today")], "4"),
        trace("held out", ["one"], "1", split="test"),
    )
    found = trained_on(
        data,
        [
            asked("same trace", ["one"], "1"),
            asked("same prompt", ["mine"], "9"),
            asked("exact prompt", ["mine"], "9"),
            asked("another question", [f"so THE QUICK, brown fox… {LONG.format('slowly')}"], "9"),
            asked("held out", ["one"], "1"),
        ],
    )
    facts = check(found)
    assert kinds(found) == ["trace", "prompt", "prompt", "ngram", ""]
    counts = {name: facts[name] for name in ("n", "trace", "prompt", "ngram", "prompt_exact", "short")}
    assert counts == {"n": 5, "trace": 1, "prompt": 2, "ngram": 1, "prompt_exact": 2, "short": 4}
    assert facts["prompt_normalised"] == 3
    assert (facts["mark"], facts["method"], facts["traces_read"]) == ("prompts", checking.METHOD_VERSION, 4)
    assert [one["address"] for one in facts["contents"]] == [data.address]
    words = overlap_facts(facts).words
    assert words == (
        "Of 5 prompts 4 stand in the training data: 1 as the same trace, 2 as the same prompt, "
        "1 by a run of 13 words."
    )


def test_the_held_out_side_of_the_training_data_is_no_training_data():
    data = content("sides", trace("a"), trace("b", split="test"))
    found = trained_on(data, [asked("b")])
    assert check(found)["mark"] == "clean"
    assert kinds(found) == [""]
    assert overlap_facts(found.overlap).words == "None of 1 prompts stands in the training data."


def test_short_texts_are_looked_for_by_their_prompt_alone_and_said_so():
    data = content("short", trace("1+1", ["1+1=2", "2"], "2"))
    found = trained_on(data, [asked("1+2", ["1+1=2", "2"], "2")])
    facts = check(found)
    assert (facts["short"], facts["ngram"], facts["mark"]) == (1, 0, "clean")


@pytest.mark.parametrize(("times", "kind"), [(COMMON_ABOVE, "ngram"), (COMMON_ABOVE + 1, "")])
def test_a_run_of_words_that_many_traces_hold_is_a_turn_of_phrase(times, kind):
    text = LONG.format("as always")
    data = content("phrases", *(trace(f"question {number}", [text]) for number in range(times)))
    found = trained_on(data, [asked("quite another one", [text])])
    facts = check(found)
    assert kinds(found) == [kind]
    assert (facts["ngram"], facts["common"]) == ((1, 0) if kind else (0, 1))


def test_every_text_after_a_prompt_carries_its_kind():
    data = content("draws", trace("a"))
    found = trained_on(data, [asked("a")])
    first = found.samples.get()
    Sample.objects.create(
        evaluation=found, position=first.position, draw=1, trace_hash=first.trace_hash, prompt="a",
        steps_valid=[], expected_steps=[], expected_answer="0", generated_text="", generated_steps=[],
        correct=False, rule="",
    )  # fmt: skip
    facts = check(found)
    assert (facts["n"], facts["trace"]) == (1, 1)
    assert kinds(found) == ["trace", "trace"]


@pytest.fixture
def family(tmp_path):
    """A training on one content, and a fork of it that went on with another."""
    old, new = content("old", trace("in the old one")), content("new", trace("in the new one"))
    attempt = start(make_run(dataset=old, config={"steps": 40}))
    journal(attempt).checkpoint(checkpoint_info(tmp_path, 20))
    ingest_attempt(attempt)
    finish(attempt)
    release_device()
    parent = fresh(attempt.run)
    fork = fork_run(parent, step=20, changes={"steps": 60})
    Run.objects.filter(pk=fork.pk).update(dataset=new)
    return parent, fresh(fork), old, new


def test_the_data_of_the_runs_that_it_came_from_count_too(family):
    parent, fork, old, new = family
    found = evaluated(fork, [asked("in the old one"), asked("in the new one"), asked("in neither")], step=50)
    facts = check(found)
    assert kinds(found) == ["trace", "trace", ""]
    assert [(one["address"], one["run_id"]) for one in facts["contents"]] == [
        (new.address, fork.pk),
        (old.address, parent.pk),
    ]


def test_a_clone_begins_anew_and_has_no_ancestors(family):
    _, fork, _, new = family
    clone = clone_run(fork)
    assert list(training_sources(clone).contents) == [new.pk]


def test_what_is_not_known_of_the_training_data_is_said():
    found = trained_on(None, [asked("a")])
    facts = check(found)
    assert (facts["mark"], facts["complete"]) == ("unknown", False)
    assert facts["why"] == f"run {found.run_id} names no dataset"
    data = content("known", trace("a"))
    stranger = make_run(dataset=data, resume_path="/elsewhere/checkpoints/1/20")
    assert "a checkpoint of no run here" in training_sources(stranger).unknown[0]
    orphan = make_run(dataset=data, parent_step=20)
    assert training_sources(orphan).unknown == [f"what run {orphan.pk} was forked from is not here"]
    found = evaluated(stranger, [asked("b")])
    assert check(found)["mark"] == "unknown"
    assert "not wholly known" in overlap_facts(found.overlap).words


def test_an_evaluation_whose_prompts_were_not_kept_is_not_called_clean():
    found = trained_on(content("kept", trace("a")), [], n=12)
    assert check(found)["mark"] == "unknown"


def test_a_bound_on_memory_leaves_out_and_says_so():
    long = [Wanted(number, "x", f"{number}", [LONG.format(number)], "0") for number in range(3)]
    search = Search(long, most_grams=1)
    assert search.end().complete is False


def test_equal_prompts_on_equal_data_cost_one_pass(monkeypatch):
    data = content("train", trace("a"), trace("b"))
    samples = [asked("a"), asked("c")]
    attempt = start(make_run(dataset=data))
    for step in (10, 20):
        evaluated_at(attempt, step, samples)
    first, second = Evaluation.objects.order_by("step")
    check(first)
    reads = []
    monkeypatch.setattr(Search, "read", lambda self, dataset: reads.append(dataset))
    facts = check(second)
    assert reads == []
    assert (kinds(second), facts["trace"]) == (["trace", ""], 1)
    check(second, anew=True)
    assert reads == [data]


def evaluated_at(attempt, step, samples):
    from runs.tests.samples_support import record

    return record(attempt, step, samples)


def test_what_waits_is_looked_at_once_and_the_newest_first():
    data = content("queue", trace("a"))
    for prompt in ("a", "b", "c"):
        trained_on(data, [asked(prompt)])
    seen = []
    assert check_waiting(then=lambda one: seen.append(one.pk)) == 3
    assert seen == sorted(seen, reverse=True)
    assert not checking.waiting().exists()
    assert check_waiting() == 0


def test_what_another_process_looks_at_is_left_to_it_unless_it_died():
    found = trained_on(content("claims", trace("a")), [asked("a")])
    Evaluation.objects.update(overlap={"state": "looking", "at": timezone.now().timestamp()})
    assert check_waiting() == 0
    found.refresh_from_db()
    assert overlap_facts(found.overlap).mark == "unchecked"
    Evaluation.objects.update(overlap={"state": "looking", "at": 1.0})
    assert check_waiting() == 1


def test_one_that_cannot_be_looked_at_holds_up_no_other(monkeypatch):
    data = content("broken", trace("a"))
    first, second = trained_on(data, [asked("a")]), trained_on(data, [asked("b")])
    whole = checking.check

    def break_one(evaluation, **options):
        if evaluation.pk == second.pk:
            raise RuntimeError("the disk is gone")
        return whole(evaluation, **options)

    monkeypatch.setattr(checking, "check", break_one)
    assert check_waiting() == 2
    first.refresh_from_db()
    second.refresh_from_db()
    assert overlap_facts(first.overlap).mark == "prompts"
    assert overlap_facts(second.overlap).mark == "unchecked"
    assert checking.check_waiting() == 0


def test_the_worker_queues_a_look_only_where_one_waits():
    asking = Asking()
    assert not asking.ask_where_waiting()
    trained_on(content("asks", trace("a")), [asked("a")])
    assert [asking.ask_where_waiting() for _ in range(4)] == [True, True, False, False]
    assert OrmQ.objects.filter(key="housekeeping").count() == 2


def test_the_task_looks_and_tells_how_many():
    from runs.tasks import look_at_evaluations

    trained_on(content("task", trace("a")), [asked("a")])
    assert look_at_evaluations() == "1 evaluations looked at"
    assert look_at_evaluations() == "0 evaluations looked at"


def test_a_command_without_a_worker_looks_at_what_its_run_made():
    data = content("here", trace("a"))
    mine, other = trained_on(data, [asked("a")]), trained_on(data, [asked("b")])
    assert look_and_follow(rows=mine.run.made_evaluations.all()) == 1
    other.refresh_from_db()
    assert other.overlap is None


def told(capsys, *words):
    call_command("check_overlap", *words, "--json")
    return json.loads(capsys.readouterr().out)


def test_the_command_checks_what_waits_or_what_it_is_told(capsys):
    found = trained_on(content("command", trace("a")), [asked("a")])
    first = told(capsys)
    assert (first["checked"], first["evaluations"][0]["trace"]) == (1, 1)
    assert told(capsys)["checked"] == 0
    assert told(capsys, str(found.pk))["checked"] == 1
    assert told(capsys, "--all")["checked"] == 1
    with pytest.raises(CommandError, match="There is no evaluation 4711"):
        call_command("check_overlap", "4711")
    with pytest.raises(CommandError) as wrong:
        call_command("check_overlap", str(found.pk), "--all")
    assert wrong.value.returncode == 2


def test_looking_costs_few_statements_however_many_prompts():
    data = content("many", *(trace(f"train {number}") for number in range(50)))
    found = trained_on(data, [asked(f"train {number}") for number in range(40)])
    with CaptureQueriesContext(connection) as caught:
        check(found)
    assert len(caught) <= 12, [one["sql"][:80] for one in caught.captured_queries]
    assert Checkpoint.objects.count() == 0
