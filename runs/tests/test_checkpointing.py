"""Checkpoints in people's hands: pinning, deleting, and seeing that rows and folders agree."""

import json
import shutil
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from runs import checkpointing
from runs.ingest import ingest_attempt
from runs.models import Checkpoint, Run
from runs.promotion.moving import promote
from runs.states import Status
from runs.tests.support import finish, fresh, journal, make_dataset, make_run, run_in, start
from training.checkpoints import hold, is_pinned, pin, seal, step_dirs
from training.recorder import CheckpointInfo
from tunix_site.errors import ConflictError
from tunix_site.models import AuditEvent

pytestmark = pytest.mark.django_db


def write(root: Path, step: int, **facts) -> Path:
    partial = root / f".partial-{step}-1"
    (partial / "state").mkdir(parents=True)
    (partial / "state" / "data").write_text("weights" * 100)
    seal(partial, root / str(step), {"step": step, **facts})
    return root / str(step)


@pytest.fixture
def run(artifacts_dir):
    """A completed training with checkpoints of the steps 5 and 10, recorded."""
    attempt = start(make_run())
    for step in (5, 10):
        path = write(Path(attempt.run.checkpoint_dir), step, attempt=1)
        journal(attempt).checkpoint(CheckpointInfo(step, str(path), 700, {"step": step}))
    ingest_attempt(attempt)
    finish(attempt)
    return fresh(attempt.run)


def row(run, step):
    return Checkpoint.objects.get(run=run, step=step)


def check(capsys, *arguments):
    """Call the command; return its exit code and its JSON."""
    code = 0
    try:
        call_command("check_checkpoints", *arguments, "--json")
    except CommandError as error:
        code = error.returncode
    return code, json.loads(capsys.readouterr().out)


def test_what_agrees_is_well(run, capsys):
    code, said = check(capsys, str(run.pk))
    assert (code, said["ok"], said["verified"], said["findings"]) == (0, True, 2, [])


def test_a_pinned_checkpoint_is_marked_on_the_disk_where_the_trainer_sees_it(run):
    checkpointing.pin(row(run, 5), pinned=True)
    assert row(run, 5).pinned
    assert is_pinned(Path(run.checkpoint_dir) / "5")
    with pytest.raises(ConflictError, match="is pinned"):
        checkpointing.delete(row(run, 5))
    checkpointing.pin(row(run, 5), pinned=False)
    assert not is_pinned(Path(run.checkpoint_dir) / "5")
    assert AuditEvent.objects.filter(action="checkpoint.pinned").count() == 1


def test_a_deleted_checkpoint_frees_its_bytes_and_says_who_did_it(run):
    user = User.objects.create(username="ada")
    folder = Path(run.checkpoint_dir) / "5"
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert checkpointing.delete(row(run, 5), actor=user) == size
    assert not folder.exists()
    assert row(run, 5).removed_why == "deleted by ada"
    with pytest.raises(ConflictError, match="no longer on the disk"):
        checkpointing.delete(row(run, 5))
    with pytest.raises(ConflictError, match="no longer on the disk"):
        checkpointing.pin(row(run, 5), pinned=True)


def test_a_run_that_is_alive_or_that_needs_it_keeps_its_checkpoint(run):
    needing = make_run(resume_path=str(Path(run.checkpoint_dir) / "10"))
    with pytest.raises(ConflictError, match=f"Run {needing.pk} \\(draft\\) is to start from"):
        checkpointing.delete(row(run, 10))
    alive = start(make_run())
    path = write(Path(alive.run.checkpoint_dir), 5)
    journal(alive).checkpoint(CheckpointInfo(5, str(path), 700, {"step": 5}))
    ingest_attempt(alive)
    with pytest.raises(ConflictError, match="sees to its own"):
        checkpointing.delete(row(alive.run, 5))


def test_one_that_is_promoted_while_it_is_about_to_go_stays(run, monkeypatch):
    make_dataset()
    own = checkpointing._require_own

    def promote_first(checkpoint):
        promote(checkpoint, name="production", scope="golden-v2", why="just now")
        own(checkpoint)

    monkeypatch.setattr(checkpointing, "_require_own", promote_first)
    with pytest.raises(ConflictError, match="is what golden-v2:production points at"):
        checkpointing.delete(row(run, 5))
    monkeypatch.setattr(checkpointing, "_require_own", own)
    # A move marks the folder before its row can be seen.
    hold(Path(row(run, 10).path), names=["golden-v2:candidate"])
    with pytest.raises(ConflictError, match=r"marked as what a name points at.*check_checkpoints --repair"):
        checkpointing.delete(row(run, 10))
    assert row(run, 5).on_disk
    assert row(run, 10).on_disk


def test_a_folder_that_is_gone_is_found_and_its_row_mended(run, capsys):
    shutil.rmtree(Path(run.checkpoint_dir) / "5")
    code, said = check(capsys, str(run.pk))
    assert code == 1
    assert [(found["step"], found["repaired"]) for found in said["findings"]] == [(5, False)]
    assert check(capsys, str(run.pk), "--repair")[0] == 0
    assert row(run, 5).removed_why == "found gone"
    assert check(capsys)[1]["findings"] == []


def test_a_folder_without_a_row_is_found_and_recorded(run, capsys):
    Checkpoint.objects.filter(step=10).delete()
    code, said = check(capsys)
    assert code == 1
    assert "not recorded" in said["findings"][0]["message"]
    assert check(capsys, "--repair")[0] == 0
    found = row(run, 10)
    assert (found.attempt, found.path, found.metadata["step"]) == (1, f"{run.checkpoint_dir}/10", 10)
    assert check(capsys)[0] == 0


def test_a_damaged_one_is_named_and_set_aside_and_purged(run, capsys):
    data = Path(run.checkpoint_dir) / "10" / "state" / "data"
    data.write_text("other")
    code, said = check(capsys, str(run.pk))
    assert code == 1
    assert "state/data has 5 bytes" in said["findings"][0]["message"]
    code, said = check(capsys, str(run.pk), "--repair")
    assert (code, said["repaired"]) == (0, 1)
    assert said["unused_bytes"] > 0
    assert row(run, 10).removed_why.startswith("damaged: ")
    code, said = check(capsys, str(run.pk), "--purge")
    assert (code, said["freed_bytes"] > 0) == (0, True)
    assert [path.name for path in Path(run.checkpoint_dir).iterdir()] == ["5"]


def test_a_run_that_is_alive_is_looked_at_and_never_touched(capsys, artifacts_dir):
    run = run_in(Status.RUNNING)
    root = Path(run.checkpoint_dir)
    (write(root, 5) / "state" / "data").write_text("other")
    (root / ".partial-6-1").mkdir()
    code, said = check(capsys, "--repair", "--purge")
    assert (code, said["repaired"], said["freed_bytes"]) == (1, 0, 0)
    assert [step for step, _ in step_dirs(root)] == [5]
    assert (root / ".partial-6-1").exists()


def test_a_run_that_is_not_there_is_named(capsys):
    with pytest.raises(CommandError, match="There is no run 99"):
        call_command("check_checkpoints", "99")


def test_what_lies_with_another_host_is_neither_looked_at_nor_called_gone(run, capsys):
    shutil.rmtree(run.checkpoint_dir)
    Run.objects.filter(pk=run.pk).update(store="ab" * 16)
    code, said = check(capsys, "--repair")
    assert (code, said["findings"], said["elsewhere"]) == (0, [], [run.pk])
    assert row(run, 5).removed_at is None


def test_pins_that_one_side_alone_knows_are_found_and_follow_the_row(run, capsys):
    Checkpoint.objects.filter(step=5).update(pinned=True)
    pin(Path(run.checkpoint_dir) / "10", pinned=True)
    code, said = check(capsys)
    assert code == 1
    assert [found["message"] for found in said["findings"]] == [
        "is pinned on the disk, but not recorded",
        "is recorded as pinned, but not on the disk",
    ]
    assert check(capsys, "--repair")[0] == 0
    assert [is_pinned(Path(run.checkpoint_dir) / step) for step in ("5", "10")] == [True, False]


def test_a_folder_of_no_run_is_named_and_left(run, capsys):
    nobodys = Path(run.checkpoint_dir).with_name(f"{run.pk}.earlier-1")
    write(nobodys, 7)
    code, said = check(capsys, "--repair", "--purge")
    assert code == 1
    assert f"{nobodys} holds 1 checkpoint of no run" in said["findings"][0]["message"]
    assert [step for step, _ in step_dirs(nobodys)] == [7]
    assert check(capsys, str(run.pk))[0] == 0


def test_a_copy_of_another_runs_checkpoint_is_damage_and_no_checkpoint_of_this_one(run, capsys):
    write(Path(run.checkpoint_dir), 7, run_uid="another", run_id=99)
    code, said = check(capsys)
    assert (code, said["verified"]) == (1, 2)
    assert "is of another run (number 99" in said["findings"][0]["message"]
    assert check(capsys, "--repair")[0] == 0
    assert [step for step, _ in step_dirs(Path(run.checkpoint_dir))] == [10, 5]
