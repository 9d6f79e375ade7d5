"""Saving beside the training: what a full disk, a bad write and an error in the thread lead to."""

import resource
import shutil
import subprocess

import pytest

pytest.importorskip("jax")

from training import checkpoint_store, saving
from training.checkpoints import damaged_step_dirs, leftovers, step_dirs, verify
from training.errors import CheckpointError
from training.tests.support import MemoryRecorder, fast_config, run_training

EVERY = {"steps": 6, "save_every_steps": 1, "keep_checkpoints": 100}


class FreeAtStep(MemoryRecorder):
    """Fills the disk at its start, and makes room again when a step was recorded."""

    def __init__(self, ballast, step):
        super().__init__()
        self.ballast, self.step = ballast, step

    def metrics(self, step, values):
        super().metrics(step, values)
        if step == self.step:
            self.ballast.unlink()


@pytest.fixture(scope="module")
def whole(tmp_path_factory, cache_dir):
    return run_training(fast_config(**EVERY), tmp_path_factory.mktemp("whole"), cache_dir)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 48 MiB; a checkpoint here takes under 1, and 32 are kept free."""
    root = tmp_path / "disk"
    root.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(root)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("file systems can't be mounted here")
    yield root
    subprocess.run(["umount", "-l", str(root)], check=True)


def fill(disk, leave):
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(shutil.disk_usage(disk).free - leave))
    return ballast


def test_a_full_disk_pauses_saving_and_training_goes_on_to_the_same_bits(small_disk, cache_dir, whole):
    recorder = FreeAtStep(fill(small_disk, 10 << 20), step=3)
    root = small_disk / "checkpoints"
    result, _ = run_training(fast_config(**EVERY), root, cache_dir, recorder=recorder)
    assert result.params_hash == whole[0].params_hash
    (paused,) = [message for message in recorder.messages if "has no checkpoint" in message]
    assert "step 1 has no checkpoint, for the disk" in paused
    assert "lacks" in paused
    assert sum("Saving goes on" in message for message in recorder.messages) == 1
    saved = [info.step for info in recorder.checkpoints]
    assert saved[-1] == 6
    assert 1 not in saved
    assert not damaged_step_dirs(root)


# TensorStore's own threads end after their event loop.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_disk_that_fills_up_in_the_middle_of_a_save_damages_nothing(
    small_disk, cache_dir, whole, monkeypatch
):
    # Without the look beforehand: the disk then fills up while it is written.
    monkeypatch.setattr(saving.Saver, "_lacking_bytes", lambda self: 0)
    recorder = FreeAtStep(fill(small_disk, 100 << 10), step=3)
    root = small_disk / "checkpoints"
    result, _ = run_training(fast_config(**EVERY), root, cache_dir, recorder=recorder)
    assert result.params_hash == whole[0].params_hash
    assert any("could not be written" in message for message in recorder.messages)
    assert [info.step for info in recorder.checkpoints][-1] == 6
    assert not damaged_step_dirs(root)
    assert leftovers(root) == []


class LimitFiles(MemoryRecorder):
    """Lets no file grow beyond some bytes from its start, until a step was recorded."""

    def __init__(self, limit, step):
        super().__init__()
        self.step, self.before = step, resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, self.before[1]))

    def metrics(self, step, values):
        super().metrics(step, values)
        if step == self.step:
            self.free()

    def free(self):
        resource.setrlimit(resource.RLIMIT_FSIZE, self.before)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_files_that_cannot_grow_pause_saving_without_any_privilege(tmp_path, cache_dir, whole):
    recorder = LimitFiles(50_000, step=3)
    try:
        result, _ = run_training(fast_config(**EVERY), tmp_path, cache_dir, recorder=recorder)
    finally:
        recorder.free()
    assert result.params_hash == whole[0].params_hash
    assert any("could not be written" in message for message in recorder.messages)
    assert [info.step for info in recorder.checkpoints][-1] == 6
    assert not damaged_step_dirs(tmp_path)
    assert leftovers(tmp_path) == []


def test_a_run_that_is_done_waits_for_room_for_its_last_checkpoint(tmp_path, cache_dir, whole, monkeypatch):
    looks = []

    def lacking(self):
        looks.append(1)
        return 1 << 20 if len(looks) < 12 else 0

    monkeypatch.setattr(saving.Saver, "_lacking_bytes", lacking)
    monkeypatch.setattr("training.session._ROOM_POLL_S", 0.01)
    result, _ = run_training(fast_config(steps=6), tmp_path, cache_dir)
    assert (result.status, result.saved_step) == ("completed", 6)
    assert result.params_hash == whole[0].params_hash
    verify(tmp_path / "6")


def test_a_stop_while_a_run_waits_for_room_ends_it_and_says_what_is_lost(tmp_path, cache_dir, monkeypatch):
    monkeypatch.setattr(saving.Saver, "_lacking_bytes", lambda self: 1 << 20)
    recorder = MemoryRecorder(stop_at_call=8)
    result, _ = run_training(fast_config(steps=6), tmp_path, cache_dir, recorder=recorder)
    assert (result.status, result.step, result.saved_step) == ("stopped", 6, 0)
    assert any("nothing after step 0 is saved" in message for message in recorder.messages)


def test_what_reads_back_differently_is_no_checkpoint(tmp_path, cache_dir, monkeypatch, whole):
    read = checkpoint_store._read

    def spoiled(step_dir, wanted):
        leaves = read(step_dir, wanted)
        return {**leaves, "rng": leaves["rng"] + 1} if ".partial-3-" in step_dir.name else leaves

    monkeypatch.setattr(checkpoint_store, "_read", spoiled)
    result, recorder = run_training(fast_config(**EVERY), tmp_path, cache_dir)
    assert result.params_hash == whole[0].params_hash
    assert [step for step, _ in step_dirs(tmp_path)] == [6, 5, 4, 2, 1]
    assert any("rng has other values" in message for message in recorder.messages)


def test_an_error_of_our_own_in_the_thread_is_not_swallowed(tmp_path, cache_dir, monkeypatch):
    def broken(*_, **__):
        raise AssertionError("a bug")

    monkeypatch.setattr(checkpoint_store, "write", broken)
    with pytest.raises(AssertionError, match="a bug"):
        run_training(fast_config(**EVERY), tmp_path, cache_dir)


def test_a_new_best_is_kept_and_the_deleted_ones_are_told_with_their_bytes(tmp_path, cache_dir):
    config = fast_config(
        steps=8,
        save_every_steps=1,
        eval_every_steps=2,
        keep_checkpoints=1,
        keep_best=1,
        best_metric="eval/loss",
    )
    _, recorder = run_training(config, tmp_path, cache_dir, test_count=8)
    kept = {step for step, _ in step_dirs(tmp_path)}
    losses = dict(recorder.series("eval/loss"))
    best = min(losses, key=lambda step: losses[step])
    assert kept >= {8}
    assert kept <= {8, best, max(step for step in losses if step < 8)}
    assert {step for step, _, _ in recorder.gone} == set(range(1, 9)) - kept
    assert all(why == "retention" and freed > 0 for _, why, freed in recorder.gone)


def test_the_stall_and_the_time_to_write_are_told(whole):
    for info in whole[1].checkpoints:
        assert info.stall_seconds > 0
        assert info.write_seconds > 0


def test_a_root_that_cannot_be_written_pauses_saving_too(tmp_path, cache_dir, whole, monkeypatch):
    write = checkpoint_store.write

    def refused(root, state, *, step, facts):
        if step < 6:
            raise CheckpointError(f"The checkpoint of step {step} could not be written: Permission denied")
        return write(root, state, step=step, facts=facts)

    monkeypatch.setattr(checkpoint_store, "write", refused)
    result, recorder = run_training(fast_config(**EVERY), tmp_path, cache_dir)
    assert result.params_hash == whole[0].params_hash
    assert [step for step, _ in step_dirs(tmp_path)] == [6]
    assert sum("has no checkpoint" in message for message in recorder.messages) == 1
