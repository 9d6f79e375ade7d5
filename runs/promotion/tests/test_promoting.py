"""Names on checkpoints: who points what where and why, what a gate refuses, what is protected."""

import threading
from itertools import pairwise
from pathlib import Path

import pytest
from django.db import connection

from datasets_app.services import seed_dataset
from runs import checkpointing
from runs.deleting import delete_run
from runs.leaderboard.tests.support import clean
from runs.models import Alias, AliasMove, Checkpoint, Run
from runs.promotion.holding import mark_held
from runs.promotion.moving import GateError, let_go, promote
from runs.promotion.rules import set_rule
from runs.promotion.tests.support import at, grade, trained
from runs.selectors import find_checkpoint
from training.checkpoints import hold, is_held
from training.retention import Retention, choose_kept, thin_out
from tunix_site.errors import ConflictError, InvalidInputError, NotFoundError
from tunix_site.models import AuditEvent

pytestmark = pytest.mark.django_db

SCOPE = "golden-v2"


def point(run, step, name="production", **more):
    return promote(at(run, step), name=name, **{"scope": SCOPE, "why": "it is good", **more})


def test_a_move_keeps_who_when_why_and_where_from(operator):
    run = trained()
    first = point(run, 5, why="  the first  ", actor=operator)
    second = point(run, 10, why="better", actor=operator)
    assert (first.changed, first.text) == (True, f"golden-v2:production points at step 5 of run {run.pk}.")
    alias = Alias.objects.get()
    assert (alias.checkpoint, alias.version, alias.moved_by, alias.why) == (
        at(run, 10),
        2,
        operator,
        "better",
    )
    newest, oldest = AliasMove.objects.all()
    assert (oldest.from_run, oldest.to_run, oldest.to_step, oldest.why) == (None, run.pk, 5, "the first")
    assert (newest.from_step, newest.to_step, newest.moved_by_name) == (5, 10, "operator")
    audit = AuditEvent.objects.filter(action="checkpoint.promoted").order_by("pk")
    assert [one.detail["reason"] for one in audit] == ["the first", "better"]
    assert second.alias == alias


def test_pointing_where_it_points_already_changes_nothing():
    run = trained()
    point(run, 5)
    again = point(run, 5, why="once more")
    assert not again.changed
    assert "already points at" in again.text
    assert AliasMove.objects.count() == 1


def test_two_scopes_each_have_their_own_production():
    seed_dataset(key="chain-v1", count=20)
    run = trained()
    point(run, 5)
    point(run, 10, scope="chain-v1")
    assert find_checkpoint(run=run, which="golden-v2:production").step == 5
    assert find_checkpoint(run=run, which="chain-v1:production").step == 10
    with pytest.raises(ConflictError, match=r"production points at several checkpoints.*chain-v1:production"):
        find_checkpoint(run=run, which="production")


@pytest.mark.parametrize(
    ("name", "error"),
    [("latest", "means something else"), ("7", "is no name"), ("A", "is no name"), ("x" * 41, "is no name")],
)
def test_a_name_must_be_able_to_stand_where_a_step_can(name, error):
    run = trained()
    with pytest.raises(InvalidInputError, match=error):
        point(run, 5, name=name)


def test_a_move_needs_a_reason_and_a_scope_that_is_a_dataset():
    run = trained()
    with pytest.raises(InvalidInputError, match="needs a reason"):
        point(run, 5, why=" \n ")
    with pytest.raises(NotFoundError, match=r"no dataset 'nowhere'.*golden-v2"):
        point(run, 5, scope="nowhere")
    assert not Alias.objects.exists()


def test_what_is_gone_or_overtaken_is_not_promoted():
    run = trained()
    Checkpoint.objects.filter(step=5).update(superseded=True)
    with pytest.raises(ConflictError, match="overtaken by a resume"):
        point(run, 5)
    checkpoint = at(run, 10)
    Path(checkpoint.path).rename(Path(checkpoint.path).with_name("elsewhere"))
    with pytest.raises(ConflictError, match="no longer on the disk"):
        point(run, 10)
    assert not Alias.objects.exists()


def test_a_checkpoint_is_found_by_its_name_and_an_unknown_name_tells_which_there_are():
    run, other = trained(), trained()
    with pytest.raises(NotFoundError, match="No alias points at a checkpoint of this run"):
        find_checkpoint(run=run, which="production")
    point(run, 5)
    point(other, 10, name="candidate")
    assert find_checkpoint(run=run, which="production").step == 5
    with pytest.raises(NotFoundError, match=r"Its aliases are: golden-v2:production \(step 5\)"):
        find_checkpoint(run=run, which="staging")
    with pytest.raises(NotFoundError, match=rf"golden-v2:candidate points at run {other.pk}"):
        find_checkpoint(run=run, which="candidate")
    for odd in ("No Name", "x\x00:production", "", ":", "٣"):
        with pytest.raises((InvalidInputError, NotFoundError)):
            find_checkpoint(run=run, which=odd)
    assert find_checkpoint(run=run, which="latest").step == 10
    Checkpoint.objects.filter(run=run, step=5).update(superseded=True)
    with pytest.raises(ConflictError, match="overtaken by a resume"):
        find_checkpoint(run=run, which="production")


def test_the_retention_of_a_training_keeps_what_a_name_points_at():
    run = trained(5, 10, 15)
    point(run, 5)
    root = Path(run.checkpoint_dir)
    assert choose_kept(root, Retention(newest=1))[root / "5"] == "held"
    assert [one.step for one in thin_out(root, Retention(newest=1))] == [10]
    point(run, 15)
    assert not is_held(root / "5")
    assert [one.step for one in thin_out(root, Retention(newest=1))] == [5]


def test_deleting_says_which_name_holds_it():
    run = trained()
    point(run, 5)
    with pytest.raises(ConflictError, match="is what golden-v2:production points at"):
        checkpointing.delete(at(run, 5))
    with pytest.raises(ConflictError, match=r"what golden-v2:production \(step 5 of run"):
        delete_run(run)
    let_go(name="production", scope=SCOPE, why="no longer needed")
    assert checkpointing.delete(at(run, 5)) > 0
    delete_run(run)
    assert not Run.objects.filter(pk=run.pk).exists()
    assert [(one.to_run, one.from_step) for one in AliasMove.objects.all()] == [(None, 5), (run.pk, None)]


def test_a_name_that_was_let_go_goes_on_counting():
    run = trained()
    point(run, 5)
    assert (
        let_go(name="production", scope=SCOPE, why="bad").text
        == "golden-v2:production points at nothing now."
    )
    with pytest.raises(NotFoundError, match="points at nothing"):
        let_go(name="production", scope=SCOPE, why="twice")
    assert point(run, 10).alias.version == 3
    assert list(AliasMove.objects.order_by("version").values_list("version", flat=True)) == [1, 2, 3]


def test_marks_that_came_apart_from_the_rows_are_found_and_mended():
    run = trained()
    point(run, 5)
    hold(Path(at(run, 5).path), names=[])
    hold(Path(at(run, 10).path), names=["golden-v2:old"])
    found = checkpointing.check_checkpoints(run=run, repair=False, purge=False).findings
    assert [one.message for one in found] == [
        "is marked for an alias that is not there",
        "is what golden-v2:production points at, but not marked so",
    ]
    assert all(
        one.repaired for one in checkpointing.check_checkpoints(run=run, repair=True, purge=False).findings
    )
    assert checkpointing.check_checkpoints(run=run, repair=False, purge=False).findings == []
    assert (is_held(Path(at(run, 5).path)), is_held(Path(at(run, 10).path))) == (True, False)


def gate(**changes):
    facts = {"min_n": 100, "min_accuracy": 0.8, "grader": "auto", **changes}
    return set_rule(scope=SCOPE, name="production", changes=facts)[0]


def test_a_gate_names_each_condition_that_is_not_met(operator):
    run = trained()
    gate()
    grade(run, 5, 40, 50, overlap=None)
    with pytest.raises(GateError) as refused:
        point(run, 5, actor=operator)
    few, low, overlap = refused.value.unmet
    assert few == "it was graded on 50 prompts, and at least 100 are asked for"
    assert low == ("40 of 50 answers are right, 80.0%, with a lower bound of 67.0% where 80.0% is asked for")
    assert "was not looked at (manage.py check_overlap" in overlap
    assert not Alias.objects.exists()
    assert not is_held(Path(at(run, 5).path))


def test_a_gate_wants_an_evaluation_on_its_content_split_and_grader():
    run = trained()
    gate()
    grade(run, 5, 100, split="train")
    grade(run, 5, 100, grader="numeric")
    grade(run, 5, 100, grader="", final=True)
    grade(run, 10, 100)
    with pytest.raises(
        GateError, match=r"there is no evaluation of it on golden-v2@\w+, split test, by grader auto"
    ):
        point(run, 5)
    assert point(run, 10).changed


@pytest.mark.parametrize(
    ("counts", "asked", "said"),
    [
        ({"trace": 1}, "none", "1 as the same trace"),
        ({"prompt": 2}, "prompts", "2 as the same prompt"),
        ({"ngram": 3}, "none", "3 by a run of 13 words"),
        ({"ngram": 3}, "prompts", ""),
        ({"trace": 5}, "any", ""),
        ({}, "none", ""),
    ],
)
def test_a_gate_asks_for_test_prompts_that_stand_in_no_training_data(counts, asked, said):
    run = trained()
    gate(overlap=asked)
    grade(run, 5, 100, overlap=clean(**counts))
    if said:
        with pytest.raises(GateError, match=said):
            point(run, 5)
    else:
        assert point(run, 5).alias.evaluation is not None


def test_training_data_that_nobody_knows_do_not_pass():
    run = trained()
    gate()
    grade(run, 5, 100, overlap={**clean(), "mark": "unknown", "why": "run 1 names no dataset"})
    with pytest.raises(GateError, match="not wholly known: run 1 names no dataset"):
        point(run, 5)


def test_the_largest_evaluation_speaks_so_that_nobody_picks_the_luckiest():
    run = trained()
    gate(min_n=10)
    grade(run, 5, 50, 50)
    grade(run, 5, 300, 500, final=True)
    with pytest.raises(GateError, match="300 of 500"):
        point(run, 5)


def test_an_override_is_recorded_with_what_it_went_over(administrator):
    run = trained()
    gate()
    moved = point(run, 5, actor=administrator, override=True, why="the demo is tonight")
    assert moved.changed
    (move,) = AliasMove.objects.all()
    assert "there is no evaluation of it" in move.unmet[0]
    event = AuditEvent.objects.get(action="checkpoint.promoted")
    assert event.detail["overridden"] == move.unmet
    assert (event.actor_name, event.detail["reason"]) == ("administrator", "the demo is tonight")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("metric", "beauty"),
        ("split", "validation"),
        ("grader", "a grader"),
        ("content_hash", "xyz"),
        ("min_n", -1),
        ("min_n", True),
        ("min_accuracy", 1.5),
        ("min_accuracy", float("nan")),
        ("overlap", "little"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused_by_field(field, value):
    trained()
    with pytest.raises(InvalidInputError, match=field):
        set_rule(scope=SCOPE, name="production", changes={field: value})
    with pytest.raises(InvalidInputError, match="no field colour"):
        set_rule(scope=SCOPE, name="production", changes={"colour": "red"})


@pytest.mark.django_db(transaction=True)
def test_promotions_at_the_same_moment_leave_one_consistent_chain(process_database):
    runs = [trained() for _ in range(4)]
    begin, failed = threading.Barrier(8), list[Exception]()

    def race(number: int) -> None:
        begin.wait()
        try:
            point(runs[number % 4], (5, 10)[number // 4], why=f"racer {number}")
        except Exception as error:
            failed.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=race, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []
    alias, moves = Alias.objects.get(), list(AliasMove.objects.order_by("version"))
    assert [one.version for one in moves] == list(range(1, 9))
    assert (moves[0].from_run, moves[0].from_step) == (None, None)
    for before, after in pairwise(moves):
        assert (after.from_run, after.from_step) == (before.to_run, before.to_step)
    assert alias.checkpoint is not None
    assert (moves[-1].to_run, moves[-1].to_step) == (alias.checkpoint.run_id, alias.checkpoint.step)
    for row in Checkpoint.objects.all():
        mark_held(row)
    held = [row for row in Checkpoint.objects.all() if is_held(Path(row.path))]
    assert held == [alias.checkpoint]
