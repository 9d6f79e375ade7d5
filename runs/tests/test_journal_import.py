"""Journals that nobody fed: found later or brought from another machine, imported once and completely."""

import json
import shutil
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from runs import services
from runs.ingest import ingest_attempt
from runs.journal import JournalRecorder
from runs.journal_header import journal_header
from runs.journal_import import import_journal
from runs.models import Attempt, Checkpoint, Evaluation, MetricPoint, Run
from runs.states import Cause, Kind, Status
from runs.tests.journal_import_support import attempt, carried_away, dataset, everything, record
from runs.tests.support import (
    claim,
    finish,
    fresh,
    journal_path,
    make_run,
    release_device,
    start,
)
from tunix_site.errors import ConflictError, UserError
from tunix_site.models import AuditEvent

__all__ = ["attempt", "dataset"]

pytestmark = pytest.mark.django_db


def test_a_run_of_another_machine_comes_in_whole_and_only_once(attempt, dataset, tmp_path):
    record(attempt, tmp_path)
    Attempt.objects.update(host="elsewhere")
    folder, uid, config = carried_away(attempt, tmp_path), attempt.run.uid, attempt.run.config
    done = import_journal(folder)
    run = Run.objects.get()
    assert (done.run_id, done.attempt, done.created, done.changed) == (run.pk, 1, True, True)
    assert (done.events, done.points, done.stored) == (11, 10, 10)
    assert (done.damaged, done.torn_bytes, done.status) == ([], 0, "completed")
    assert (run.uid, run.name, run.config, run.dataset) == (uid, "far away", config, dataset)
    assert (run.status, run.step, run.final_loss, run.params_hash) == ("completed", 5, 0.2, "f" * 64)
    row = run.attempts.get()
    assert (row.status, row.cause, row.end_step) == (Status.COMPLETED, Cause.COMPLETED, 5)
    assert Evaluation.objects.get().run == run
    assert (run.attempt_directory(1) / "log.txt").read_text() == "its log\n"
    assert list(AuditEvent.objects.filter(target_id=run.pk).values_list("action", flat=True)) == [
        "run.completed",
        "run.imported",
    ]
    before = everything()
    again = import_journal(folder)
    assert (again.created, again.changed, again.stored) == (False, False, 0)
    assert everything() == before


def test_where_its_checkpoints_are_on_another_host_it_says_so(attempt, tmp_path):
    attempt.host = "elsewhere"
    record(attempt, tmp_path)
    import_journal(carried_away(attempt, tmp_path))
    row = Checkpoint.objects.get()
    assert (row.removed_why, row.removed_at is None) == ("on elsewhere, not here", False)
    run = Run.objects.get()
    assert run.checkpoint_dir.endswith(f"/checkpoints/{run.pk}")


def test_where_its_database_alone_was_lost_its_checkpoints_stay_its_own(attempt, tmp_path):
    record(attempt, tmp_path)
    import_journal(carried_away(attempt, tmp_path))
    assert Checkpoint.objects.get().removed_at is None
    assert Run.objects.get().checkpoint_dir == attempt.run.checkpoint_dir


def test_a_journal_without_an_end_is_of_a_lost_run_and_may_come_again_when_it_is_longer(attempt, tmp_path):
    record(attempt, tmp_path, end="")
    folder = carried_away(attempt, tmp_path)
    file = folder / "metrics.jsonl"
    whole = file.read_bytes()
    cut = whole.index(b'"s":4')
    file.write_bytes(whole[:cut])
    done = import_journal(file)
    run = Run.objects.get()
    assert (done.status, done.torn_bytes) == ("lost", cut - whole.rindex(b"\n", 0, cut) - 1)
    assert run.reason == "its journal ends at step 3 without an end"
    assert f"the last {done.torn_bytes} bytes of its journal" in run.attempts.get().reason
    file.write_bytes(whole)
    again = import_journal(file)
    assert (again.status, again.stored, again.created, again.changed) == ("lost", 4, False, True)
    assert fresh(run).reason == "its journal ends at step 5 without an end"
    assert not import_journal(file).changed


def test_damage_is_named_and_the_rest_comes_in(attempt, tmp_path):
    record(attempt, tmp_path)
    folder = carried_away(attempt, tmp_path)
    lines = (folder / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    lines[3] = lines[3].replace(b"loss", b"lost")
    del lines[5]
    (folder / "metrics.jsonl").write_bytes(b"".join(lines))
    done = import_journal(folder)
    assert [words.partition("(")[2] or words for words in done.damaged] == [
        "line 3: its checksum is wrong)",
        "journal line 5 is missing",
    ]
    assert (done.events, done.stored, done.status) == (9, 6, "completed")
    assert "line 5 is missing" in Attempt.objects.get().reason


@pytest.mark.parametrize("word", ["completed", "stopped", "failed"])
def test_a_lost_run_learns_its_end_from_the_journal_that_is_found(attempt, tmp_path, word):
    record(attempt, tmp_path, end=word)
    folder = carried_away(attempt, tmp_path, forget=False)
    shutil.rmtree(attempt.run.directory)
    finish(attempt, Status.LOST, reason="its supervisor died")
    done = import_journal(folder)
    assert (done.status, done.created, done.stored) == (word, False, 10)
    assert Attempt.objects.get().status == fresh(attempt.run).status == word
    assert not import_journal(folder).changed


def test_a_lost_run_whose_journal_has_no_end_stays_as_it_was_called(attempt, tmp_path):
    record(attempt, tmp_path, end="")
    finish(attempt, Status.LOST, reason="its supervisor died")
    done = import_journal(journal_path(attempt))
    assert (done.status, done.stored) == ("lost", 10)
    assert fresh(attempt.run).reason == "its supervisor died"


def test_an_end_changes_no_run_that_has_one(attempt, tmp_path):
    record(attempt, tmp_path)
    finish(attempt, Status.STOPPED, reason="marked by hand")
    assert import_journal(journal_path(attempt)).status == "stopped"
    assert fresh(attempt.run).reason == "marked by hand"


def test_a_run_that_is_alive_is_refused(attempt, tmp_path):
    record(attempt, tmp_path)
    before = everything()
    with pytest.raises(ConflictError, match="is starting here"):
        import_journal(journal_path(attempt))
    assert everything() == before


def test_a_half_fed_journal_is_fed_to_its_end(attempt, tmp_path):
    record(attempt, tmp_path, steps=3, end="")
    ingest_attempt(attempt)
    finish(attempt, Status.LOST)
    JournalRecorder(journal_path(attempt), stop_asked=lambda: False).metrics(4, {"train/loss": 1.0})
    done = import_journal(journal_path(attempt))
    assert (done.points, done.stored) == (7, 1)


@pytest.fixture
def two_attempts(attempt, tmp_path):
    """Folders of two attempts of one run that nobody fed; the second began again after step 3."""
    record(attempt, tmp_path, end="")
    finish(attempt, Status.LOST)
    services.resume_run(fresh(attempt.run), deliver=False)
    second = claim(attempt.run)
    assert second is not None
    record(second, tmp_path, first=4, steps=7)
    finish(second, Status.LOST)
    release_device()
    first_folder = carried_away(attempt, tmp_path, forget=False)
    second_folder = carried_away(second, tmp_path)
    return first_folder, second_folder


def shown_steps(**which):
    rows = MetricPoint.objects.filter(name="train/loss", **which).order_by("step")
    return list(rows.values_list("step", flat=True))


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_attempts_come_in_any_order_and_the_later_one_overtakes(two_attempts, order):
    for place in order:
        import_journal(two_attempts[place])
    run = Run.objects.get()
    assert (run.status, run.attempt, run.step) == ("completed", 2, 10)
    assert shown_steps(superseded=False) == list(range(1, 11))
    assert shown_steps(superseded=True) == [4, 5]
    assert Evaluation.objects.get(attempt=1).superseded
    assert Checkpoint.objects.get(attempt=1).superseded
    assert run.attempts.get(number=1).status == Status.LOST
    before = everything()
    for folder in two_attempts:
        assert not import_journal(folder).changed
    assert everything() == before


def test_an_older_database_goes_on_to_the_attempt_that_it_never_saw(two_attempts):
    import_journal(two_attempts[0])
    Run.objects.update(status=Status.DRAFT, attempt=0)
    Attempt.objects.all().delete()
    assert import_journal(two_attempts[1]).status == "completed"
    Run.objects.update(attempt=1)
    with pytest.raises(ConflictError, match=r"is completed after attempt 1; no attempt 2 can follow"):
        import_journal(two_attempts[1])


def test_a_run_whose_dataset_and_parent_are_not_here_says_so(attempt, tmp_path):
    finish(attempt)
    child = start(make_run(parent=attempt.run, parent_step=3, dataset=attempt.run.dataset))
    record(child, tmp_path)
    folder = carried_away(child, tmp_path)
    for row in (attempt.run, attempt.run.dataset):
        row.delete()
    import_journal(folder)
    run = Run.objects.get()
    assert (run.dataset, run.parent, run.parent_step) == (None, None, None)
    assert "its dataset golden-v2@" in run.origin
    assert "its parent " in run.origin


def test_a_fork_finds_its_parent_by_its_uid(attempt, tmp_path):
    finish(attempt)
    child = start(make_run(parent=attempt.run, parent_step=3, dataset=attempt.run.dataset))
    record(child, tmp_path)
    import_journal(carried_away(child, tmp_path))
    run = Run.objects.exclude(pk=attempt.run_id).get()
    assert (run.parent, run.parent_step) == (attempt.run, 3)


def test_an_imported_benchmark_has_its_record(tmp_path):
    attempt = start(make_run(kind=Kind.BENCH))
    recorder = JournalRecorder(
        journal_path(attempt), stop_asked=lambda: False, header=journal_header(attempt.run, attempt)
    )
    record = {"model": "nano", "batch_size": 4, "sequence_length": 64, "precision": "fp32"}
    record |= {"step_time": {"median": 0.01}, "tokens_per_second": 25_000.0}
    recorder.end("completed", step=10, result=record)
    import_journal(carried_away(attempt, tmp_path))
    assert Run.objects.get().benchmark.record["model"] == "nano"


def test_files_that_cannot_be_copied_are_told_of_and_the_import_can_be_done_again(
    attempt, tmp_path, artifacts_dir
):
    record(attempt, tmp_path)
    folder = carried_away(attempt, tmp_path)
    shutil.rmtree(artifacts_dir / "runs")
    (artifacts_dir / "runs").write_text("in the way")
    with pytest.raises(UserError, match="could not be copied"):
        import_journal(folder)
    (artifacts_dir / "runs").unlink()
    done = import_journal(folder)
    assert (done.stored, done.status) == (10, "completed")


def test_the_command_import_journal_tells_what_it_did(attempt, tmp_path):
    record(attempt, tmp_path)
    folder = carried_away(attempt, tmp_path)
    with (folder / "metrics.jsonl").open("ab") as file:
        file.write(b'{"k":"met')
    out = StringIO()
    call_command("import_journal", str(folder), "--json", stdout=out, stderr=StringIO())
    said = json.loads(out.getvalue())
    run = Run.objects.get()
    assert said == {
        "run_id": run.pk,
        "attempt": 1,
        "events": 11,
        "points": 10,
        "stored": 10,
        "damaged": [],
        "torn_bytes": 9,
        "status": "completed",
        "created": True,
    }
    out = StringIO()
    call_command("import_journal", str(folder), stdout=out)
    assert "The last 9 bytes are no whole line and were dropped." in out.getvalue()
    assert f"Nothing new: attempt 1 of run {run.pk} is here" in out.getvalue()
    with pytest.raises(CommandError, match="There is no journal at"):
        call_command("import_journal", str(tmp_path / "nowhere"))
