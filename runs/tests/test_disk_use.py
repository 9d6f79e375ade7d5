"""Disk use: true sizes, a bounded look, a remembered figure that tells its age."""

import json
import os
import time

import pytest

from runs.home import disk_use as meter
from runs.home.disk_use import Walk, disk_use
from runs.templatetags.run_format import seconds_ago

pytestmark = pytest.mark.django_db


@pytest.fixture
def tree(artifacts_dir):
    for name, size in (("checkpoints/1/5/state", 100_000), ("cache/xla/x", 9000), ("runs/1/metrics", 5000)):
        path = artifacts_dir / name
        path.parent.mkdir(parents=True)
        path.write_bytes(b"x" * size)
    return artifacts_dir


def sizes(use):
    return {part.name: part.size for part in use.parts}


def test_sizes_are_what_the_disk_holds_and_links_are_not_followed(tree, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "big").write_bytes(b"x" * 1_000_000)
    (tree / "checkpoints" / "link").symlink_to(outside)
    found = sizes(disk_use())
    assert 100_000 <= found["checkpoints"] < 200_000
    assert found["cache"] >= 9000
    assert found["runs"] >= 5000
    assert found["database"] > 0


def test_a_sparse_file_counts_with_what_it_takes(tree):
    with (tree / "cache" / "hole").open("wb") as file:
        file.truncate(1 << 40)
    assert sizes(disk_use())["cache"] < 1 << 20


def test_a_look_at_a_large_tree_ends_in_time_and_later_ones_go_on(tree, monkeypatch):
    for number in range(300):
        (tree / "checkpoints" / f"f{number}").write_bytes(b"x")
    monkeypatch.setattr(meter, "A_LOOK_S", -1.0)
    first = disk_use()
    assert first.at is None
    assert sizes(first) == {}
    looks = 1
    while disk_use().at is None:
        looks += 1
        assert looks < 50
    assert looks >= 3
    assert sizes(disk_use())["checkpoints"] > 100_000


def test_the_figure_is_remembered_between_processes_and_tells_its_age(tree, monkeypatch):
    disk_use()
    (tree / "checkpoints" / "more").write_bytes(b"x" * 500_000)
    remembered = json.loads((tree / meter.REMEMBERED).read_text())
    (tree / meter.REMEMBERED).write_text(json.dumps(remembered | {"at": time.time() - 120}))
    old = disk_use()
    assert old.age is not None
    assert 119 < old.age < 125
    assert "min" in seconds_ago(old.age)
    assert sizes(old)["checkpoints"] < 500_000
    (tree / meter.REMEMBERED).write_text(json.dumps(remembered | {"at": time.time() - meter.FRESH_S - 1}))
    assert sizes(disk_use())["checkpoints"] > 500_000


@pytest.mark.parametrize("text", ["", "[]", '{"at": "x", "sizes": {}}', '{"at": 1, "sizes": 3}'])
def test_a_spoilt_memory_is_measured_anew(tree, text):
    (tree / "cache").mkdir(exist_ok=True)
    (tree / meter.REMEMBERED).write_text(text)
    age = disk_use().age
    assert age is not None
    assert age < 5


def test_a_folder_that_is_not_there_yet_measures_as_empty(artifacts_dir):
    use = disk_use()
    assert use.used >= 0
    assert use.free is not None


def test_what_cannot_be_read_is_passed_over(tree, monkeypatch):
    real = os.scandir

    def guarded(path):
        if str(path) == str(tree / "checkpoints" / "1"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    # Rights alone would not do: root reads everything.
    monkeypatch.setattr(os, "scandir", guarded)
    walk = Walk(tree)
    assert walk.go_on(60)
