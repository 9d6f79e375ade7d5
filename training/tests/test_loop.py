"""One start of a run, and what a resume must give back to the bit."""

import json
import math

import pytest

pytestmark = pytest.mark.jax
pytest.importorskip("jax")

from training.assembly import assemble
from training.checkpoint_store import restore
from training.checkpoints import (
    newest_sound_step_dir,
    read_metadata,
    step_dirs,
    verify,
)
from training.device import select_device
from training.errors import CheckpointError, ConfigError, TrainingError
from training.hashing import params_hash
from training.leaves import named_leaves
from training.tests.support import MemoryRecorder, StopAfter, fast_config, run_training

PER_STEP = {
    "train/loss",
    "train/grad_norm",
    "train/learning_rate",
    "train/step_time",
    "train/tokens_per_second",
}
POSITION = ("train/epoch", "train/tokens_seen")
START_UP = {"system/lowering_time", "system/compile_time", "system/first_step_time"}
LONG = {"steps": 60, "eval_every_steps": 20, "keep_checkpoints": 10}


@pytest.fixture(scope="module")
def whole(tmp_path_factory, cache_dir):
    """The run that was never interrupted: 60 updates with evaluations after 20, 40 and 60."""
    root = tmp_path_factory.mktemp("whole")
    result, recorder = run_training(fast_config(**LONG), root, cache_dir, test_count=12)
    return result, recorder, root


def restored(step_dir, config):
    return restore(step_dir, assembly=assemble(config, select_device("cpu").device))


def optimizer_hash(step_dir, config):
    return params_hash(restored(step_dir, config).optimizer)


def test_every_update_has_every_metric_once_and_in_order(whole):
    _, recorder, _ = whole
    for name in PER_STEP:
        assert [step for step, _ in recorder.series(name)] == list(range(1, 61))
    assert {name for _, values in recorder.points for name in values} == PER_STEP | {
        "eval/loss",
        "eval/answer_accuracy",
        "eval/step_accuracy",
    } | START_UP | set(POSITION)
    assert all(seconds > 0 for _, seconds in recorder.series("train/step_time"))


def test_some_steps_say_how_far_the_data_has_been_gone_through(whole):
    _, recorder, _ = whole
    for name in POSITION:
        assert [step for step, _ in recorder.series(name)] == [1, 10, 20, 30, 40, 50, 60]
        values = [value for _, value in recorder.series(name)]
        assert values == sorted(set(values))


def test_what_the_start_took_is_told_apart_from_the_steady_state(whole):
    _, recorder, _ = whole
    for name in START_UP:
        [(step, seconds)] = recorder.series(name)
        assert (step, seconds > 0) == (1, True)
    assert recorder.series("system/first_step_time")[0] == recorder.series("train/step_time")[0]


def test_the_loss_falls(whole):
    _, recorder, _ = whole
    losses = [loss for _, loss in recorder.series("train/loss")]
    assert losses[-1] < losses[0] * 0.8


def test_evaluations_come_when_due_always_on_the_same_prompts_and_a_larger_one_at_the_end(whole):
    result, recorder, _ = whole
    assert [(report.step, report.n, report.final) for report in recorder.evaluations] == [
        (20, 4, False),
        (40, 4, False),
        (60, 8, True),
    ]
    prompts = [[sample.prompt for sample in report.samples] for report in recorder.evaluations]
    assert prompts[0] == prompts[1]
    assert set(prompts[0]) < set(prompts[2])
    assert [step for step, _ in recorder.series("eval/loss")] == [20, 40, 60]
    assert result.evaluation == recorder.evaluations[-1]
    assert result.evaluation.overlap == 0


def test_the_phases_tell_what_happens(whole):
    _, recorder, _ = whole
    names = [name for name, _ in recorder.phases]
    assert names[:3] == ["starting", "compiling", "training"]
    assert names[-3:] == ["saving", "evaluating", "finished"]


def test_the_provenance_names_what_ran(whole):
    _, recorder, _ = whole
    json.dumps(recorder.facts, allow_nan=False)
    assert recorder.facts["attention"]["name"] == "chunked"
    assert recorder.facts["compute_dtype"] == "float32"
    assert recorder.facts["device"]["kind"] == "cpu"


def test_the_last_checkpoint_tells_about_itself_without_jax(whole):
    result, recorder, root = whole
    metadata = read_metadata(root / "60")
    assert metadata["step"] == 60
    assert metadata["evaluated"] is True
    assert metadata["loss"] == result.final_loss
    assert metadata["learning_rate"] == recorder.series("train/learning_rate")[-1][1]
    assert metadata["config"]["model"] == "nano"
    assert metadata["device"]["platform"] == "cpu"
    assert [info.step for info in recorder.checkpoints] == [60]
    assert recorder.checkpoints[0].size_bytes > 4 * 3 * 45_000


@pytest.mark.parametrize("stop_after", [20, 43])
def test_a_run_that_was_stopped_and_resumed_equals_the_one_that_never_was(
    whole, tmp_path, cache_dir, stop_after
):
    config = fast_config(**LONG)
    first = StopAfter(stop_after)
    stopped, _ = run_training(config, tmp_path, cache_dir, recorder=first, test_count=12)
    assert (stopped.status, stopped.step) == ("stopped", stop_after)
    assert stopped.evaluation is None

    resumed, second = run_training(
        config, tmp_path, cache_dir, resume_from=newest_sound_step_dir(tmp_path), test_count=12
    )
    result, uninterrupted, root = whole
    assert second.resumes == [stop_after]
    assert resumed.params_hash == result.params_hash
    assert optimizer_hash(tmp_path / "60", config) == optimizer_hash(root / "60", config)
    # A stop may come between an update and its evaluation, never twice or not at all.
    assert sorted(first.exact_history() + second.exact_history()) == sorted(uninterrupted.exact_history())


def test_a_stop_during_an_evaluation_is_honoured_and_the_evaluation_made_up_for(whole, tmp_path, cache_dir):
    config = fast_config(**LONG)
    stopped, first = run_training(
        config, tmp_path, cache_dir, recorder=MemoryRecorder(stop_in_phase="evaluating"), test_count=12
    )
    assert (stopped.status, stopped.step, first.evaluations) == ("stopped", 20, [])
    assert read_metadata(tmp_path / "20")["evaluated"] is False
    resumed, second = run_training(config, tmp_path, cache_dir, resume_from=tmp_path / "20", test_count=12)
    assert resumed.params_hash == whole[0].params_hash
    assert first.exact_history() + second.exact_history() == whole[1].exact_history()


def test_a_stop_before_the_first_update_saves_nothing(tmp_path, cache_dir):
    result, recorder = run_training(
        fast_config(steps=4), tmp_path, cache_dir, recorder=MemoryRecorder(stop_at_call=1)
    )
    assert (result.status, result.step, result.final_loss) == ("stopped", 0, None)
    assert recorder.checkpoints == []
    assert newest_sound_step_dir(tmp_path) is None


def test_resuming_a_finished_run_trains_nothing_and_gives_the_same_hash(whole, cache_dir):
    result, _, root = whole
    again, recorder = run_training(
        fast_config(**LONG), root, cache_dir, resume_from=root / "60", test_count=12
    )
    assert (again.status, again.step, again.params_hash) == ("completed", 60, result.params_hash)
    assert recorder.points == []
    assert again.final_loss == result.final_loss


def test_a_damaged_checkpoint_is_refused_by_name_and_the_older_one_leads_to_the_same_bits(
    whole, tmp_path, cache_dir
):
    config = fast_config(**{**LONG, "save_every_steps": 20})
    run_training(config, tmp_path, cache_dir)
    for name in ("40", "60"):
        largest = max((tmp_path / name).rglob("*"), key=lambda path: path.stat().st_size)
        content = bytearray(largest.read_bytes())
        content[len(content) // 2] ^= 1
        largest.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"40 is damaged: state/.* other bytes"):
        run_training(config, tmp_path, cache_dir, resume_from=tmp_path / "40")
    sound = newest_sound_step_dir(tmp_path)
    assert sound == tmp_path / "20"
    resumed, recorder = run_training(config, tmp_path, cache_dir, resume_from=sound)
    assert resumed.params_hash == whole[0].params_hash
    assert [(step, "set aside" in why) for step, why, _ in recorder.gone] == [(60, True), (40, True)]
    verify(tmp_path / "60")


def test_only_the_newest_checkpoints_are_kept_the_last_among_them(tmp_path, cache_dir):
    config = fast_config(steps=4, save_every_steps=1, keep_checkpoints=2)
    _, recorder = run_training(config, tmp_path, cache_dir)
    assert [info.step for info in recorder.checkpoints] == [1, 2, 3, 4]
    assert [step for step, _ in step_dirs(tmp_path)] == [4, 3]


def test_orbax_itself_can_open_what_was_saved(whole):
    import orbax.checkpoint as ocp

    _, _, root = whole
    with ocp.CheckpointManager(root) as manager:
        assert manager.latest_step() == 60
        restored = manager.restore(60, args=ocp.args.Composite(state=ocp.args.StandardRestore()))
    assert int(restored["state"]["step"]) == 60


def test_a_checkpoint_of_another_model_is_refused_field_by_field(whole, tmp_path, cache_dir):
    with pytest.raises(
        CheckpointError, match=r"does not fit the model.*layers|width is 32 there and 128 here"
    ):
        run_training(
            fast_config(**{**LONG, "model": "tiny"}), tmp_path, cache_dir, resume_from=whole[2] / "60"
        )


def test_a_checkpoint_of_other_data_or_a_later_step_is_refused(tmp_path, cache_dir):
    config = fast_config(steps=4)
    metadata = {"dataset_key": "chain-v1", "content_hash": "a" * 64}
    run_training(config, tmp_path / "a", cache_dir, metadata=metadata)
    assert read_metadata(tmp_path / "a" / "4")["dataset_key"] == "chain-v1"
    other = {**metadata, "content_hash": "b" * 64}
    with pytest.raises(CheckpointError, match=r"other data.*chain-v1"):
        run_training(config, tmp_path / "b", cache_dir, resume_from=tmp_path / "a" / "4", metadata=other)
    with pytest.raises(CheckpointError, match="beyond steps=2"):
        run_training(fast_config(steps=2), tmp_path / "b", cache_dir, resume_from=tmp_path / "a" / "4")


# Every update multiplies the weights by about -99, until nothing that is computed is finite.
EXPLODING = {
    "steps": 60, "warmup_steps": 0, "optimizer": "sgd", "learning_rate": 10, "final_learning_rate": 10,
    "weight_decay": 10, "save_every_steps": 1, "keep_checkpoints": 100,
}  # fmt: skip


def test_updates_that_are_not_finite_change_nothing_are_counted_and_end_the_run(tmp_path, cache_dir):
    recorder = MemoryRecorder()
    with pytest.raises(TrainingError, match=r"not finite 3 times in a row.*Lower learning_rate"):
        run_training(fast_config(**EXPLODING, skip_limit=3), tmp_path, cache_dir, recorder=recorder)
    skipped = recorder.series("train/skipped_updates")
    assert [count for _, count in skipped] == [1.0, 2.0, 3.0]
    assert not all(
        math.isfinite(value) for step, values in recorder.points for value in values.values() if step > 1
    )
    assert sum("was skipped" in message for message in recorder.messages) == 2
    config, last = fast_config(**EXPLODING), skipped[0][0]
    sound, after = (restored(tmp_path / str(step), config) for step in (last - 1, last + 1))
    assert params_hash(sound.params) == params_hash(after.params)
    assert params_hash(sound.optimizer) == params_hash(after.optimizer)
    assert (int(sound.skipped), int(after.skipped), int(after.skipped_in_row)) == (0, 2, 2)


def test_without_test_examples_a_run_completes_and_says_so(tmp_path, cache_dir):
    result, recorder = run_training(fast_config(steps=4), tmp_path, cache_dir)
    assert (result.status, result.evaluation) == ("completed", None)
    assert any("no test examples" in message for message in recorder.messages)


def test_without_train_examples_nothing_starts(tmp_path, cache_dir):
    with pytest.raises(ConfigError, match="no train example"):
        run_training(fast_config(steps=2), tmp_path, cache_dir, train_count=0)


def test_another_seed_gives_another_model(whole, tmp_path, cache_dir):
    result, _ = run_training(fast_config(**{**LONG, "seed": 1}), tmp_path, cache_dir)
    assert result.params_hash != whole[0].params_hash


def test_the_hash_depends_on_names_shapes_types_and_bytes():
    import numpy as np

    base = {"a": np.zeros(2, np.float32), "b": np.ones(3, np.float32)}
    assert params_hash(base) == params_hash(dict(reversed(base.items())))
    others = [
        {**base, "a": np.zeros((1, 2), np.float32)},
        {**base, "a": np.zeros(2, np.int32)},
        {**base, "a": np.full(2, -0.0, np.float32)},
        {"a": base["a"], "c": base["b"]},
    ]
    assert len({params_hash(tree) for tree in [base, *others]}) == 5
    assert set(named_leaves(base)) == {"a", "b"}
