"""The columns that lists show: current with every batch, right after resumes, deletions and imports."""

import importlib
from pathlib import Path

import pytest
from django.apps import apps
from django.utils import timezone

from runs import services
from runs.checkpointing import check_checkpoints
from runs.checkpointing import delete as delete_checkpoint
from runs.deleting import delete_run
from runs.ingest import ingest_attempt
from runs.listing.summaries import parameters_of, refresh_summary
from runs.models import Checkpoint, Evaluation, Run
from runs.states import Kind, Status
from runs.tests.support import (
    checkpoint_info,
    claim,
    evaluation_report,
    finish,
    fresh,
    journal,
    make_dataset,
    make_run,
    start,
)
from training.model_config import parameter_count, preset

pytestmark = pytest.mark.django_db


def best(run: Run) -> Evaluation:
    found = fresh(run).best_evaluation
    assert found is not None
    return found


def per_step(loss, speed=1000.0, seconds=0.1):
    return {"train/loss": loss, "train/tokens_per_second": speed, "train/step_time": seconds}


@pytest.fixture
def attempt():
    return start(make_run(dataset=make_dataset(), config={"steps": 100}))


def test_a_new_run_says_how_large_its_model_is():
    assert make_run().parameters == parameter_count(preset("nano"))
    assert parameters_of({"model": "nano"}, {"model": {"parameters": 123}}) == 123
    assert parameters_of({"model": "gone"}, {"parameters": "many"}) is None


def test_every_batch_brings_loss_and_pace_up_to_date(attempt):
    recorder = journal(attempt)
    recorder.metrics(1, per_step(5.0, 100.0, 30.0))
    ingest_attempt(attempt)
    run = fresh(attempt.run)
    assert (run.last_loss, run.tokens_per_second, run.step_seconds) == (5.0, 100.0, 30.0)
    for step in range(2, 40):
        # One step that waited for an evaluation must not move the pace.
        recorder.metrics(step, per_step(4.0, *((1.0, 60.0) if step == 35 else (1000.0 + step % 3, 0.1))))
    ingest_attempt(attempt)
    run = fresh(attempt.run)
    assert run.last_loss == 4.0
    assert run.tokens_per_second == pytest.approx(1001, abs=1)
    assert run.step_seconds == 0.1


def test_a_loss_that_is_no_number_is_not_hidden_behind_an_older_one(attempt):
    recorder = journal(attempt)
    recorder.metrics(1, per_step(2.0))
    recorder.metrics(2, per_step(float("nan")))
    ingest_attempt(attempt)
    assert fresh(attempt.run).last_loss is None


def test_what_a_resume_overtakes_no_longer_counts(attempt, tmp_path):
    recorder = journal(attempt)
    for step in range(1, 11):
        recorder.metrics(step, per_step(1.0 / step))
    recorder.checkpoint(checkpoint_info(tmp_path, 5))
    recorder.checkpoint(checkpoint_info(tmp_path, 10))
    recorder.evaluation(evaluation_report(5, answer_accuracy=0.5))
    recorder.evaluation(evaluation_report(10, answer_accuracy=0.9))
    ingest_attempt(attempt)
    run = fresh(attempt.run)
    assert (run.last_loss, run.checkpoint_bytes, best(run).step) == (0.1, 4096, 10)
    finish(attempt, Status.FAILED)
    services.enqueue_run(run, deliver=False)
    second = claim(run)
    assert second is not None
    journal(second).resumed(5)
    ingest_attempt(second)
    run = fresh(run)
    assert (run.last_loss, run.checkpoint_bytes, best(run).step) == (0.2, 2048, 5)


def test_the_best_evaluation_is_that_of_the_recipe(attempt):
    run = attempt.run
    Run.objects.filter(pk=run.pk).update(config={**run.config, "best_metric": "eval/loss"})
    attempt.run.refresh_from_db()
    recorder = journal(attempt)
    recorder.evaluation(evaluation_report(10, loss=0.5, answer_accuracy=0.9))
    recorder.evaluation(evaluation_report(20, loss=0.1, answer_accuracy=0.6))
    recorder.evaluation(evaluation_report(30, loss=0.3, answer_accuracy=0.7))
    recorder.evaluation(evaluation_report(40, loss=float("nan"), answer_accuracy=1.0))
    ingest_attempt(attempt)
    assert best(run).step == 20


def test_a_grading_run_changes_the_run_that_it_grades_and_back_when_it_is_deleted(attempt):
    journal(attempt).evaluation(evaluation_report(10, answer_accuracy=0.5))
    ingest_attempt(attempt)
    finish(attempt)
    parent = attempt.run
    grading = make_run(kind=Kind.EVALUATE, parent=parent, dataset=parent.dataset, total_steps=0)
    graded = start(grading)
    journal(graded).evaluation(evaluation_report(10, n=1000, answer_accuracy=0.8, final=True))
    ingest_attempt(graded)
    finish(graded)
    assert best(parent).n == 1000
    assert best(grading).n == 1000
    delete_run(fresh(grading))
    assert best(parent).n == 12
    assert Run.objects.count() == 1


def test_a_fork_leaves_its_parent_alone(attempt, tmp_path):
    run = attempt.run
    journal(attempt).checkpoint(checkpoint_info(tmp_path, 10))
    journal(attempt).evaluation(evaluation_report(10, answer_accuracy=0.5))
    ingest_attempt(attempt)
    finish(attempt)
    Checkpoint.objects.update(path=str(tmp_path / "10"))
    fork = make_run(parent=run, dataset=run.dataset)
    second = start(fork)
    journal(second).evaluation(evaluation_report(5, answer_accuracy=0.99))
    ingest_attempt(second)
    assert best(run).answer_accuracy == 0.5
    assert best(fork).answer_accuracy == 0.99


def test_checkpoints_that_go_away_are_no_longer_counted(attempt):
    run = attempt.run
    root = Path(run.checkpoint_dir)
    for step in (5, 10, 15):
        journal(attempt).checkpoint(checkpoint_info(root, step))
    ingest_attempt(attempt)
    assert fresh(run).checkpoint_bytes == 3 * 2048
    journal(attempt).checkpoint_gone(5, str(root / "5"), "a newer one")
    ingest_attempt(attempt)
    assert fresh(run).checkpoint_bytes == 2 * 2048
    finish(attempt)
    delete_checkpoint(Checkpoint.objects.select_related("run").get(step=15))
    assert fresh(run).checkpoint_bytes == 2048
    (root / "10").rename(root.parent / "elsewhere")
    check_checkpoints(run=fresh(run), repair=True, purge=False)
    left = sum(row.size_bytes for row in Checkpoint.objects.filter(removed_at=None))
    assert fresh(run).checkpoint_bytes == left < 2048


def emptied(run):
    Run.objects.filter(pk=run.pk).update(
        last_loss=None, tokens_per_second=None, step_seconds=None, parameters=None, checkpoint_bytes=0,
        best_evaluation=None,
    )  # fmt: skip
    return fresh(run)


def summary(run):
    run = fresh(run)
    return (
        run.last_loss, run.tokens_per_second, run.step_seconds, run.parameters, run.checkpoint_bytes,
        run.best_evaluation_id,
    )  # fmt: skip


def test_everything_can_be_worked_out_anew_and_the_migration_says_the_same(attempt, tmp_path):
    recorder = journal(attempt)
    for step in range(1, 31):
        recorder.metrics(step, per_step(1.0 / step, 100.0 * step, 1.0 / step))
    recorder.checkpoint(checkpoint_info(tmp_path, 10))
    recorder.evaluation(evaluation_report(10, answer_accuracy=0.9))
    recorder.evaluation(evaluation_report(20, answer_accuracy=0.5))
    ingest_attempt(attempt)
    as_stored = summary(attempt.run)
    assert None not in as_stored
    refresh_summary(emptied(attempt.run))
    assert summary(attempt.run) == as_stored
    emptied(attempt.run)
    importlib.import_module("runs.migrations.0010_summaries").fill(apps, None)
    assert summary(attempt.run) == as_stored


def test_an_evaluation_that_is_deleted_by_itself_leaves_no_broken_run(attempt):
    row = Evaluation.objects.create(
        run=attempt.run, made_by=attempt.run, attempt=1, step=1, split="test", n=1, correct=1,
        answer_accuracy=1, interval_low=0, interval_high=1, seconds=1, generated_tokens=1,
        created_at=timezone.now(),
    )  # fmt: skip
    refresh_summary(attempt.run)
    assert fresh(attempt.run).best_evaluation == row
    row.delete()
    assert fresh(attempt.run).best_evaluation is None
