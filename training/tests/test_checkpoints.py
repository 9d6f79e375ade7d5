"""The layout on disk, without JAX: what counts as a checkpoint and what does not."""

import json

import pytest

from training.checkpoints import (
    METADATA_NAME,
    amend,
    damaged_step_dirs,
    newest_sound_step_dir,
    prepare_root,
    read_metadata,
    remove,
    seal,
    set_aside_damaged,
    step_dirs,
    verify,
)
from training.errors import CheckpointError


def write(root, step, text="weights", **facts):
    partial = root / f".partial-{step}-1"
    (partial / "state" / "d").mkdir(parents=True)
    (partial / "state" / "d" / "data").write_text(text)
    (partial / "state" / "manifest").write_text("m")
    seal(partial, root / str(step), {"step": step, **facts})
    return root / str(step)


def spoil(step_dir, damage):
    data = step_dir / "state" / "d" / "data"
    match damage:
        case "truncate":
            data.write_bytes(data.read_bytes()[:-1])
        case "flip":
            data.write_bytes(bytes([data.read_bytes()[0] ^ 1]) + data.read_bytes()[1:])
        case "delete":
            data.unlink()
        case "metadata":
            (step_dir / METADATA_NAME).write_text('{"step": 6')


def test_the_newest_sound_checkpoint_is_found_by_number(tmp_path):
    write(tmp_path, 9)
    newest = write(tmp_path, 10)
    assert newest_sound_step_dir(tmp_path) == newest
    assert [step for step, _ in step_dirs(tmp_path)] == [10, 9]


def test_without_a_checkpoint_there_is_none(tmp_path):
    assert newest_sound_step_dir(tmp_path) is None
    assert newest_sound_step_dir(tmp_path / "missing") is None


def test_an_unfinished_checkpoint_is_never_taken_for_complete(tmp_path):
    sound = write(tmp_path, 5)
    (tmp_path / ".partial-6-1" / "state").mkdir(parents=True)
    (tmp_path / "7").mkdir()
    assert newest_sound_step_dir(tmp_path) == sound


@pytest.mark.parametrize("damage", ["truncate", "flip", "delete", "metadata"])
def test_a_damaged_checkpoint_is_named_and_the_older_one_used(tmp_path, damage):
    older, newer = write(tmp_path, 5), write(tmp_path, 6)
    spoil(newer, damage)
    with pytest.raises(CheckpointError, match=r"6 is damaged"):
        verify(newer)
    assert newest_sound_step_dir(tmp_path) == older
    assert list(damaged_step_dirs(tmp_path)) == [newer]


def test_metadata_can_be_read_and_amended_in_place(tmp_path):
    path = write(tmp_path, 5, loss=0.5)
    amend(path, evaluated=True)
    assert read_metadata(path)["loss"] == 0.5
    assert verify(path)["evaluated"] is True


def test_a_checkpoint_of_another_format_says_so(tmp_path):
    path = write(tmp_path, 5)
    metadata = json.loads((path / METADATA_NAME).read_text())
    (path / METADATA_NAME).write_text(json.dumps({**metadata, "format_version": 99}))
    with pytest.raises(CheckpointError, match="format version 99"):
        read_metadata(path)


def test_reading_what_does_not_exist_says_so(tmp_path):
    with pytest.raises(CheckpointError, match="does not exist"):
        read_metadata(tmp_path / "8")


def test_a_step_that_is_saved_again_replaces_the_old_one_and_keeps_its_files_aside(tmp_path):
    write(tmp_path, 5, text="old")
    path = write(tmp_path, 5, text="new")
    assert (path / "state" / "d" / "data").read_text() == "new"
    verify(path)
    assert (tmp_path / ".set-aside-5-0" / "state" / "d" / "data").read_text() == "old"


def test_a_start_sets_later_checkpoints_aside_and_clears_unfinished_ones(tmp_path):
    for step in (5, 10, 15):
        write(tmp_path, step)
    (tmp_path / ".partial-20-1").mkdir()
    (tmp_path / ".removing-1").mkdir()
    aside = prepare_root(tmp_path, after_step=5)
    assert {step: path.name for step, path in aside.items()} == {10: ".set-aside-10-0", 15: ".set-aside-15-0"}
    assert [step for step, _ in step_dirs(tmp_path)] == [5]
    assert not (tmp_path / ".partial-20-1").exists()
    assert not (tmp_path / ".removing-1").exists()


@pytest.mark.parametrize("damage", ["truncate", "flip", "delete", "metadata"])
def test_damaged_checkpoints_are_set_aside_by_name_down_to_the_newest_sound_one(tmp_path, damage):
    older, newer = write(tmp_path, 5), write(tmp_path, 6)
    spoil(newer, damage)
    found, damaged = set_aside_damaged(tmp_path)
    assert found == older
    assert list(damaged) == [6]
    assert ".set-aside-6-0" in damaged[6]
    assert [step for step, _ in step_dirs(tmp_path)] == [5]


def test_a_deleted_checkpoint_frees_all_its_bytes_and_says_how_many(tmp_path):
    path = write(tmp_path, 5, text="x" * 1000)
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    assert remove(path) == size > 1000
    assert list(tmp_path.iterdir()) == []


def test_a_flipped_bit_anywhere_in_the_metadata_is_damage(tmp_path):
    sound = write(tmp_path, 5, arrays={"params.w": "ab" * 32}, loss=2.5, evaluated=False)
    path = write(tmp_path, 6, arrays={"params.w": "ab" * 32}, loss=2.5, evaluated=False) / METADATA_NAME
    whole = path.read_bytes()
    for place in range(len(whole)):
        flipped = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
        # Nothing else is wrong where the name of the hash itself was hit.
        if b'"metadata_sha256"' in flipped:
            path.write_bytes(flipped)
            assert newest_sound_step_dir(tmp_path) == sound, flipped
    path.write_bytes(whole)
    assert newest_sound_step_dir(tmp_path) == path.parent


def test_metadata_that_were_amended_are_sound_and_older_ones_have_no_hash(tmp_path):
    path = write(tmp_path, 5)
    amend(path, evaluated=True)
    assert verify(path)["evaluated"] is True
    old = json.loads((path / METADATA_NAME).read_text())
    del old["metadata_sha256"]
    (path / METADATA_NAME).write_text(json.dumps({**old, "loss": 1.0}))
    assert verify(path)["loss"] == 1.0


def test_the_checkpoint_of_another_run_is_set_aside_and_named(tmp_path):
    own = write(tmp_path, 5, run_uid="own")
    write(tmp_path, 6, run_uid="other", run_id=9)
    assert "another run" in damaged_step_dirs(tmp_path, run_uid="own")[tmp_path / "6"]
    found, aside = set_aside_damaged(tmp_path, run_uid="own")
    assert found == own
    assert "is of another run (number 9" in aside[6]
