"""Going on from a checkpoint: the same bits as never stopping, or a refusal that says why not."""

import os
import shutil
from typing import Any

import pytest

pytest.importorskip("jax")

from training.assembly import assemble
from training.checkpoint_store import restore
from training.checkpoints import amend, newest_sound_step_dir, read_metadata, step_dirs
from training.device import select_device
from training.errors import CheckpointError
from training.hashing import leaf_hashes
from training.tests.support import StopAfter, fast_config, run_training

# Everything that could be forgotten: dropout's keys, a moving average, accumulated micro-batches, two kinds
# of optimizer state, rows of several traces, epochs that wrap in the middle, evaluations beside all that.
HARD: dict[str, Any] = {
    "steps": 24, "batch_size": 4, "micro_batch": 2, "dropout": 0.1, "ema_decay": 0.9, "optimizer": "muon",
    "sequence_length": 96, "eval_every_steps": 5, "save_every_steps": 4, "keep_checkpoints": 50,
    "warmup_steps": 4,
}  # fmt: skip
SHORT: dict[str, Any] = {"steps": 3, "save_every_steps": 2}
RUN = {"run_id": 7}


@pytest.fixture(scope="module")
def whole(tmp_path_factory, cache_dir):
    root = tmp_path_factory.mktemp("never-stopped")
    result, recorder = run_training(fast_config(**HARD), root, cache_dir, test_count=8, metadata=RUN)
    return result, recorder, root


def state_hashes(step_dir):
    assembly = assemble(fast_config(**HARD), select_device("cpu").device)
    return leaf_hashes(restore(step_dir, assembly=assembly))


def test_the_data_wrap_around_in_the_middle_of_the_run(whole):
    rows = whole[1].facts["data"]["rows"]
    assert rows % HARD["batch_size"] != 0
    assert HARD["steps"] * HARD["batch_size"] > 2 * rows


@pytest.mark.parametrize("stop_after", [1, 5, 10, 23])
def test_stopped_anywhere_and_resumed_it_ends_in_the_same_bits(whole, tmp_path, cache_dir, stop_after):
    config, (result, uninterrupted, root) = fast_config(**HARD), whole
    first = StopAfter(stop_after)
    stopped, _ = run_training(config, tmp_path, cache_dir, recorder=first, test_count=8, metadata=RUN)
    assert (stopped.status, stopped.step, stopped.saved_step) == ("stopped", stop_after, stop_after)
    resumed, second = run_training(
        config,
        tmp_path,
        cache_dir,
        resume_from=newest_sound_step_dir(tmp_path),
        test_count=8,
        metadata=RUN,
    )
    assert resumed.params_hash == result.params_hash
    assert second.inexact == ""
    assert sorted(first.exact_history() + second.exact_history()) == sorted(uninterrupted.exact_history())
    assert state_hashes(tmp_path / "24") == state_hashes(root / "24")
    best = [read_metadata(where / "24")["best"] for where in (tmp_path, root)]
    assert best[0]
    assert best[0] == best[1]


@pytest.mark.parametrize("step", [4, 8, 12, 16, 20])
def test_every_checkpoint_leads_to_the_same_bits(whole, tmp_path, cache_dir, step):
    """As after a SIGKILL: what came after the checkpoint is done anew, in a folder of its own."""
    result, uninterrupted, root = whole
    resumed, recorder = run_training(
        fast_config(**HARD), tmp_path, cache_dir, resume_from=root / str(step), test_count=8, metadata=RUN
    )
    assert resumed.params_hash == result.params_hash
    assert recorder.exact_history() == [point for point in uninterrupted.exact_history() if point[0] > step]


def test_the_checkpoint_carries_all_that_decides_the_future(whole):
    names = state_hashes(whole[2] / "24").keys()
    assert {name.split(".")[0] for name in names} == {
        "params", "optimizer", "average", "rng", "step", "skipped", "skipped_in_row",
    }  # fmt: skip
    metadata = read_metadata(whole[2] / "24")
    assert metadata["final"] is True
    assert metadata["best"]["evaluation"]["eval/answer_accuracy"] >= 0
    assert metadata["evaluation"].keys() >= {"eval/loss", "eval/answer_accuracy"}
    assert metadata["params_hash"] == whole[0].params_hash
    assert metadata["engine"]["micro_batch"] == 2


CHANGES = {
    "micro_batch": 2, "devices": 2, "attention": "dense", "compute_dtype": "bfloat16", "threads": 64,
    "jax": "0.0.1", "device_kind": "another card",
    "training_code": "of another version",
}  # fmt: skip


@pytest.fixture(scope="module")
def short(tmp_path_factory, cache_dir):
    """The checkpoints of three steps, trained once for all that change something in a copy of them."""
    root = tmp_path_factory.mktemp("short")
    run_training(fast_config(**SHORT), root, cache_dir, metadata=RUN)
    return root


@pytest.mark.parametrize(("name", "value"), CHANGES.items())
def test_another_engine_is_refused_by_name_unless_allowed_and_then_said(
    short, tmp_path, cache_dir, name, value
):
    config = fast_config(**SHORT)
    shutil.copytree(short, tmp_path, dirs_exist_ok=True)
    earlier = tmp_path / "2"
    amend(earlier, engine={**read_metadata(earlier)["engine"], name: value})
    refused = StopAfter(3)
    with pytest.raises(CheckpointError, match=rf"not be exact: {name} {value} → .*--allow-inexact"):
        run_training(config, tmp_path, cache_dir, resume_from=earlier, recorder=refused, metadata=RUN)
    assert refused.facts == {}, "the run was not made with this"
    assert [step for step, _ in step_dirs(tmp_path)] == [3, 2], "a refusal changes nothing"
    _, recorder = run_training(
        config, tmp_path, cache_dir, resume_from=earlier, metadata=RUN, allow_inexact=True
    )
    assert recorder.inexact.startswith(f"{name} {value} → ")


def test_a_micro_batch_that_was_chosen_is_taken_again(tmp_path, cache_dir):
    config = fast_config(steps=3, save_every_steps=2, micro_batch="auto")
    run_training(config, tmp_path, cache_dir, metadata=RUN)
    earlier = tmp_path / "2"
    assert read_metadata(earlier)["engine"]["micro_batch"] == 4
    # As if less memory had been free at the first start.
    amend(earlier, engine={**read_metadata(earlier)["engine"], "micro_batch": 2})
    _, recorder = run_training(config, tmp_path, cache_dir, resume_from=earlier, metadata=RUN)
    assert recorder.facts["micro_batch"] == 2
    assert recorder.inexact == ""


def test_a_new_run_may_differ_from_the_one_it_starts_from_and_says_so(tmp_path, cache_dir):
    run_training(fast_config(steps=4), tmp_path / "a", cache_dir, metadata=RUN)
    _, recorder = run_training(
        fast_config(steps=6, seed=1),
        tmp_path / "b",
        cache_dir,
        resume_from=tmp_path / "a" / "4",
        metadata={"run_id": 8},
    )
    assert "seed 0 → 1" in recorder.inexact
    assert "steps 4 → 6" in recorder.inexact
    assert [step for step, _ in step_dirs(tmp_path / "a")] == [4]


def test_a_checkpoint_of_an_older_version_goes_on_with_the_defaults_of_what_it_does_not_know(
    tmp_path, cache_dir
):
    config = fast_config(steps=3, save_every_steps=2)
    result, _ = run_training(config, tmp_path, cache_dir, metadata=RUN)
    earlier = tmp_path / "2"
    metadata = read_metadata(earlier)
    older = {name: value for name, value in metadata["config"].items() if name != "keep_best"}
    amend(earlier, config=older, engine={}, arrays=metadata["arrays"])
    resumed, recorder = run_training(config, tmp_path, cache_dir, resume_from=earlier, metadata=RUN)
    assert (resumed.params_hash, recorder.inexact) == (result.params_hash, "")


def test_a_disk_that_gives_other_values_than_were_saved_is_noticed(short, tmp_path, cache_dir):
    config = fast_config(**SHORT)
    shutil.copytree(short, tmp_path, dirs_exist_ok=True)
    arrays = read_metadata(tmp_path / "2")["arrays"]
    amend(tmp_path / "2", arrays={**arrays, "rng": "0" * 64})
    with pytest.raises(CheckpointError, match="rng has other values"):
        run_training(config, tmp_path, cache_dir, resume_from=tmp_path / "2", metadata=RUN)


def test_the_number_of_threads_is_what_the_process_may_use(whole):
    assert read_metadata(whole[2] / "24")["engine"]["threads"] == len(os.sched_getaffinity(0))


def test_a_checkpoint_that_a_stop_writes_after_an_evaluation_can_be_the_best(tmp_path, cache_dir):
    config = fast_config(steps=6, eval_every_steps=2, save_every_steps=0)

    class StopAfterEvaluation(StopAfter):
        def should_stop(self):
            return self.phases[-1][0] == "training" and super().should_stop()

    run_training(config, tmp_path, cache_dir, recorder=StopAfterEvaluation(2), test_count=4, metadata=RUN)
    metadata = read_metadata(tmp_path / "2")
    assert metadata["evaluated"] is True
    assert metadata["evaluation"]["eval/loss"] == metadata["best"]["evaluation"]["eval/loss"]
