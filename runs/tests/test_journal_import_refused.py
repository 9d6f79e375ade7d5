"""Journals that are not taken in, or not all of what they name, and what is said of them."""

import json
import shutil
from pathlib import Path

import pytest

from runs import checkpointing
from runs.journal import JournalRecorder
from runs.journal_header import journal_header
from runs.journal_import import import_journal
from runs.models import Checkpoint
from runs.states import Status
from runs.tests.journal_import_support import attempt, carried_away, dataset, everything, record
from runs.tests.support import (
    checkpoint_info,
    finish,
    journal_path,
    make_run,
)
from tunix_site.errors import ConflictError, InvalidInputError, NotFoundError

__all__ = ["attempt", "dataset"]

pytestmark = pytest.mark.django_db


def test_another_journal_of_the_same_attempt_is_refused_and_named(attempt, tmp_path):
    record(attempt, tmp_path)
    folder = carried_away(attempt, tmp_path, forget=False)
    finish(attempt, Status.LOST)
    file = folder / "metrics.jsonl"
    file.write_bytes(file.read_bytes().replace(b'"s":5', b'"s":6'))
    with pytest.raises(ConflictError, match=r"differs from .* at byte \d+"):
        import_journal(folder)


def test_a_shorter_copy_of_a_journal_replaces_nothing(attempt, tmp_path):
    record(attempt, tmp_path)
    folder = carried_away(attempt, tmp_path, forget=False)
    whole = journal_path(attempt).read_bytes()
    finish(attempt, Status.LOST)
    (folder / "metrics.jsonl").write_bytes(whole[: len(whole) // 2])
    assert import_journal(folder).status == "completed"
    assert journal_path(attempt).read_bytes() == whole


def test_an_older_journal_without_a_first_line_is_imported_into_the_run_that_is_named(attempt, tmp_path):
    JournalRecorder(journal_path(attempt), stop_asked=lambda: False).metrics(1, {"train/loss": 1.0})
    folder = carried_away(attempt, tmp_path, forget=False)
    finish(attempt, Status.LOST)
    with pytest.raises(InvalidInputError, match="Name the run with --run"):
        import_journal(folder)
    with pytest.raises(InvalidInputError, match="Name it with --attempt"):
        import_journal(shutil.copy(folder / "metrics.jsonl", tmp_path / "bare.jsonl"), run=attempt.run)
    assert import_journal(folder, run=attempt.run).stored == 1
    assert import_journal(tmp_path / "bare.jsonl", run=attempt.run, attempt=1).stored == 0


def test_what_contradicts_the_first_line_is_refused(attempt, tmp_path):
    record(attempt, tmp_path)
    finish(attempt, Status.LOST)
    with pytest.raises(InvalidInputError, match="not of run"):
        import_journal(journal_path(attempt), run=make_run())
    with pytest.raises(InvalidInputError, match="is of attempt 1, not of attempt 2"):
        import_journal(journal_path(attempt), attempt=2)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"kind": "dance"}, "kind: "),
        ({"uid": "7"}, "uid: "),
        ({"attempt": 0}, "attempt: "),
        ({"total_steps": -1}, "total_steps: "),
        ({"config": {"steps": "many"}}, "config"),
        ({"config": 3}, "config: "),
    ],
)
def test_a_first_line_that_describes_no_run_is_refused(attempt, tmp_path, change, complaint):
    header = {**journal_header(attempt.run, attempt), **change}
    JournalRecorder(tmp_path / "metrics.jsonl", stop_asked=lambda: False, header=header)
    before = everything()
    with pytest.raises(InvalidInputError, match=complaint):
        import_journal(tmp_path)
    assert everything() == before


def test_a_journal_of_a_newer_format_is_refused(attempt, tmp_path):
    record(attempt, tmp_path)
    file = journal_path(attempt)
    [first, *_] = file.read_text().splitlines()
    event = {**json.loads(first), "format": 99}
    del event["i"], event["c"]
    (tmp_path / "metrics.jsonl").write_text(json.dumps(event) + "\n")
    with pytest.raises(InvalidInputError, match="has format 99; this site reads up to 2"):
        import_journal(tmp_path)


@pytest.mark.parametrize("content", [None, b"", b"half a line", b"nonsense\n"])
def test_what_is_no_journal_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "metrics.jsonl").write_bytes(content)
    with pytest.raises(NotFoundError if content is None else InvalidInputError):
        import_journal(tmp_path)


def test_a_path_that_may_be_another_runs_here_is_no_checkpoint_of_the_imported_one(attempt, tmp_path):
    """A journal without a header, of a machine whose folders have the same names as here."""
    victim = checkpoint_info(tmp_path / "another run", 9)
    recorder = JournalRecorder(journal_path(attempt), stop_asked=lambda: False)
    recorder.checkpoint(victim)
    recorder.end("completed", step=9)
    folder = carried_away(attempt, tmp_path, forget=False)
    run = attempt.run
    finish(attempt, Status.LOST)
    import_journal(folder, run=run, attempt=1)
    row = Checkpoint.objects.get(run=run)
    assert row.removed_at is not None
    Checkpoint.objects.update(removed_at=None)
    for change in (checkpointing.delete, lambda row: checkpointing.pin(row, pinned=True)):
        with pytest.raises(ConflictError, match="no folder of that run here"):
            change(Checkpoint.objects.get(run=run))
    assert Path(victim.path).is_dir()
