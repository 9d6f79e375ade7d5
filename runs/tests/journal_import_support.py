"""Journals of attempts that were carried out elsewhere, for the tests of their import."""

import shutil
from pathlib import Path

import pytest

from runs.journal import JournalRecorder
from runs.journal_header import journal_header
from runs.models import Attempt, Checkpoint, Evaluation, MetricPoint, Run, Sample
from runs.tests.support import (
    checkpoint_info,
    evaluation_report,
    journal_path,
    make_dataset,
    make_run,
    start,
)
from tunix_site.models import AuditEvent


@pytest.fixture
def dataset():
    return make_dataset()


@pytest.fixture
def attempt(dataset):
    return start(make_run(dataset=dataset, name="far away"))


def record(attempt, tmp_path, *, first=1, steps=5, end="completed"):
    recorder = JournalRecorder(
        journal_path(attempt), stop_asked=lambda: False, header=journal_header(attempt.run, attempt)
    )
    recorder.phase("training", first)
    recorder.resumed(first - 1)
    for step in range(first, first + steps):
        recorder.metrics(step, {"train/loss": 1.0 / step, "train/step_time": 0.1})
    step = first + steps - 1
    recorder.checkpoint(checkpoint_info(Path(attempt.run.checkpoint_dir), step))
    recorder.evaluation(evaluation_report(step))
    if end:
        recorder.end(end, step=step, final_loss=0.2, params_hash="f" * 64, reason="")
    (journal_path(attempt).parent / "log.txt").write_text("its log\n")


def carried_away(attempt, tmp_path, *, forget=True):
    """Bring the attempt's folder to a place of its own; with ``forget`` this site never saw the run."""
    folder = tmp_path / f"usb-{attempt.number}"
    shutil.copytree(journal_path(attempt).parent, folder / f"attempt-{attempt.number}")
    if forget:
        shutil.rmtree(attempt.run.directory)
        attempt.run.delete()
    return folder / f"attempt-{attempt.number}"


def everything():
    """All rows that a run leaves, to see that nothing changed."""
    models = (Run, Attempt, MetricPoint, Checkpoint, Evaluation, Sample, AuditEvent)
    return [list(model.objects.order_by("pk").values()) for model in models]
