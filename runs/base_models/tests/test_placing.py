"""A base model lies in the artifacts whole or not at all, whatever happens to the import."""

import os
import shutil
import signal

import pytest

from runs.base_models.copying import damaged_files
from runs.base_models.places import DELETED, PARTIAL, sweep
from runs.base_models.placing import Origin, place_folder, read_record
from training import bases
from training.errors import ConfigError
from training.hf.tests.folders import model_folder
from tunix_site.errors import UserError

ORIGIN = Origin("mine")


def place(folder, **more):
    return place_folder(folder, origin=ORIGIN, name_for=lambda _hash: "mine", **more)


def left_over():
    return [one.name for one in bases.root().iterdir() if one.name.startswith((PARTIAL, DELETED))]


@pytest.fixture
def folder(tmp_path):
    files = {"tokenizer.json": "{}", "notes.txt": "not needed", "README.md": "---\nlicense: mit\n---\n"}
    return model_folder(tmp_path / "model", "qwen3", shards=3, files=files)


def test_the_folder_holds_what_is_needed_and_the_record_says_so(folder):
    placed = place(folder)
    record = placed.record
    there = bases.root() / record.content_hash
    assert placed.created
    assert {one.name for one in there.iterdir()} == {*record.files, bases.RECORD_NAME}
    assert set(record.files) == {one.name for one in folder.iterdir()} - {"notes.txt", "README.md"}
    for name in record.files:
        assert (there / name).read_bytes() == (folder / name).read_bytes()
    assert record.content_hash == bases.content_hash(record.files)
    assert (record.family, record.dtype, record.licence) == ("qwen3", "F32", "mit")
    found = bases.find_base(bases.reference("mine", record.content_hash))
    assert found.record == record
    assert left_over() == []


def test_the_same_content_again_changes_nothing(folder, tmp_path):
    first = place(folder)
    told = []
    again = place(shutil.copytree(folder, tmp_path / "copy"), progressed=lambda *facts: told.append(facts))
    assert again.record == first.record
    assert not again.created
    assert {what.partition(" ")[0] for _, _, what in told} == {"comparing", "checking"}, "nothing was copied"
    assert told[-1][0] == told[-1][1]


def kill_at(number):
    """Import in a child that is killed at its n-th sign of progress; gives whether it came that far."""

    def run(folder):
        child = os.fork()
        if child == 0:
            left = number

            def progressed(*facts):
                nonlocal left
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

            try:
                place(folder, progressed=progressed)
            finally:
                os._exit(0)
        return os.WIFSIGNALED(os.waitpid(child, 0)[1])

    return run


def test_a_killed_import_leaves_nothing_half_written(folder):
    kills = 0
    while kill_at(kills + 1)(folder):
        kills += 1
        finished = [one for one in bases.root().iterdir() if one.name[0] != "."]
        assert finished == [], f"killed at the {kills}. sign"
        assert len(left_over()) == 1, "what the earlier one left is swept by the next"
    assert kills >= len([*folder.iterdir()]) - 2 + 1, "each file, and the last moment before the rename"
    assert left_over() == []
    assert len([one for one in bases.root().iterdir() if one.name[0] != "."]) == 1


def test_sweeping_leaves_alone_what_a_living_import_writes(folder):
    seen = []

    def progressed(*facts):
        sweep(bases.root())
        seen.append(left_over())

    assert place(folder, progressed=progressed).created
    assert all(len(names) == 1 for names in seen)


def test_a_finished_folder_that_lost_a_file_is_mended_by_importing_again(folder):
    record = place(folder).record
    there = bases.root() / record.content_hash
    (there / "tokenizer.json").unlink()
    assert read_record(there) is None
    assert place(folder).created
    assert read_record(there) is not None
    assert left_over() == []


def test_damage_that_keeps_the_size_is_mended_by_importing_again(folder):
    record = place(folder).record
    there = bases.root() / record.content_hash
    sound = {name: (there / name).stat().st_ino for name in record.files}
    name = "model-00002-of-00003.safetensors"
    with (there / name).open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x55")
    assert read_record(there) is not None, "its size tells nothing"
    assert damaged_files(there, record.files) == [name]
    again = place(folder)
    assert (again.record, again.created, again.mended) == (record, False, (name,))
    assert damaged_files(there, record.files) == []
    changed = {one for one in record.files if (there / one).stat().st_ino != sound[one]}
    assert changed == {name}, "the others stay as they are"
    assert left_over() == []
    assert place(folder).mended == ()


def test_a_record_whose_hashes_are_not_its_own_counts_as_damage(folder):
    record = place(folder).record
    there = bases.root() / record.content_hash
    text = (there / bases.RECORD_NAME).read_text()
    digest = record.files["config.json"].sha256
    (there / bases.RECORD_NAME).write_text(text.replace(digest, digest[::-1]))
    assert read_record(there) is None
    assert place(folder).created
    assert read_record(there) == place(folder).record


@pytest.mark.parametrize("name", ["tokenizer.json", "generation_config.json"])
def test_a_file_that_leads_to_nothing_or_is_none_is_told(folder, name):
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to("nowhere")
    with pytest.raises(ConfigError, match=f"{name} cannot be read: leads to nothing"):
        place(folder)


def test_a_folder_called_license_is_no_licence(folder):
    (folder / "LICENSE").mkdir()
    (folder / "LICENCE.txt").write_text("Do as you like.")
    record = place(folder).record
    assert "LICENSE" not in record.files
    assert (bases.root() / record.content_hash / "LICENCE.txt").read_text() == "Do as you like."


def test_a_full_disk_is_told_before_anything_is_copied(folder, monkeypatch):
    usage = shutil.disk_usage(folder)._replace(free=1 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    with pytest.raises(UserError, match=r"needs 0\.\d MiB in .*, and 1\.0 MiB are free"):
        place(folder)
    assert left_over() == []


def test_a_disk_that_becomes_full_leaves_nothing(folder, monkeypatch):
    def full(_handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="became full"):
        place(folder)
    assert [one.name for one in bases.root().iterdir()] == [".lock"]


def test_a_file_that_changes_meanwhile_is_not_kept(folder):
    def progressed(done, total, what):
        with (folder / "tokenizer.json").open("a") as file:
            file.write("more")

    with pytest.raises(UserError, match=r"tokenizer.json changed while it was read"):
        place(folder, progressed=progressed)
    assert left_over() == []


def test_a_model_that_cannot_be_used_makes_no_folder(tmp_path):
    folder = model_folder(tmp_path / "model", config={"model_type": "mamba"})
    with pytest.raises(ConfigError, match="mamba"):
        place(folder)
    assert not bases.root().exists()


def test_links_are_followed_and_files_kept(folder, tmp_path):
    links = tmp_path / "snapshot"
    links.mkdir()
    for entry in folder.iterdir():
        (links / entry.name).symlink_to(entry)
    there = bases.root() / place(links).record.content_hash
    assert not any(one.is_symlink() for one in there.iterdir())
