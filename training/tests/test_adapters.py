"""Fine-tuning a base model: what is trained, what stays, and the same bits after an interruption."""

import multiprocessing
import os
import signal
from pathlib import Path

import pytest

pytest.importorskip("jax")

import jax
import jax.numpy as jnp
import numpy as np

from training import bases
from training.adapters import merge, quantize, targets
from training.assembly import assemble, first_state, part
from training.checkpoint_store import restore, restore_params
from training.checkpoints import newest_sound_step_dir, read_metadata
from training.data import batch_indices
from training.decoding import make_decoding
from training.device import select_device
from training.errors import CheckpointError, ConfigError
from training.hashing import leaf_hashes, params_hash
from training.hf.tests.characters import character_files
from training.hf.tests.folders import model_folder
from training.hf.tests.registering import register
from training.leaves import named_leaves
from training.linear import restored
from training.planning import Planner
from training.serving import Models
from training.step import to_device
from training.tests.support import MemoryRecorder, chain_examples, fast_config, run_training

FP32 = jnp.dtype(jnp.float32)


def write_base(root: Path, family: str = "qwen3", *, name: str = "tiny", **options) -> str:
    """Write a fixture's model as a base model under ``root``; returns how a recipe names it."""
    folder = model_folder(root / f"new-{name}-{family}", family, files=character_files(), **options)
    return register(folder, root, name=name)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    place, before = tmp_path_factory.mktemp("models"), bases.root
    bases.use_root(lambda: place)
    yield place
    bases.use_root(before)


@pytest.fixture(scope="module")
def base(root):
    return write_base(root, shards=2)


def adapted(base, **changes):
    given = {"model": base, "method": "lora", "lora_rank": 4, "sequence_length": 64, "warmup_steps": 2}
    return fast_config(**(given | changes))


def newest(root: Path) -> Path:
    found = newest_sound_step_dir(root)
    assert found is not None
    return found


def cpu():
    return select_device("cpu").device


@pytest.mark.parametrize("method", ["lora", "qlora"])
def test_adapters_add_nothing_at_first_and_only_they_are_trained(base, method):
    assembly = assemble(adapted(base, method=method, quantization="int8"), cpu())
    state = first_state(assembly)
    names = {name.rpartition(".")[2] for name in named_leaves(state.params)}
    assert names == {"lora_a", "lora_b"}
    assert {name.rpartition(".")[2] for name in named_leaves(state.optimizer)} & {"kernel", "codes"} == set()
    tokens = jnp.arange(2, 18).reshape(2, 8)
    plain = assemble(adapted(base, method="full"), cpu())
    expected = plain.model(first_state(plain).params)(tokens)
    found = assembly.model(assembly.weights(state))(tokens)
    assert float(jnp.mean(jnp.abs(found - expected))) < (1e-5 if method == "lora" else 0.05)


HARD = {
    "method": "qlora", "steps": 8, "lora_dropout": 0.2, "ema_decay": 0.9, "eval_every_steps": 4,
    "evaluate_first": True, "save_every_steps": 2,
}  # fmt: skip


class Killed(MemoryRecorder):
    """Kills its own process in the middle of an update after a checkpoint that is complete."""

    def should_stop(self):
        if any(one.step == 4 for one in self.checkpoints) and self.phases[-1][0] == "training":
            os.kill(os.getpid(), signal.SIGKILL)
        return False


def train_until_killed(root, base, place, cache_dir):
    bases.use_root(lambda: root)
    run_training(
        adapted(base, **HARD), place, cache_dir, recorder=Killed(), test_count=8, metadata={"run_id": 3}
    )


def test_a_run_that_was_killed_goes_on_in_the_same_bits(root, base, tmp_path, cache_dir):
    config, facts = adapted(base, **HARD), {"run_id": 3}
    whole, told = run_training(config, tmp_path / "whole", cache_dir, test_count=8, metadata=facts)
    assert [one.step for one in told.evaluations] == [0, 4, 8]
    assert [one.n for one in told.evaluations] == [8, 4, 8]
    arguments = (root, base, tmp_path / "cut", cache_dir)
    child = multiprocessing.get_context("spawn").Process(target=train_until_killed, args=arguments)
    child.start()
    child.join(240)
    assert child.exitcode == -signal.SIGKILL
    cut = newest(tmp_path / "cut")
    assert int(cut.name) < 8
    resumed, _ = run_training(
        config, tmp_path / "cut", cache_dir, resume_from=cut, test_count=8, metadata=facts
    )
    assert resumed.params_hash == whole.params_hash
    stored = read_metadata(newest(tmp_path / "cut"))
    assert stored["base"]["content_hash"].startswith(base.partition("@")[2])
    assert all("lora" in name for name in stored["arrays"] if name.startswith("params"))
    state = restore(newest(tmp_path / "cut"), assembly=assemble(config, cpu()))
    assert params_hash(state.params) == whole.params_hash


@pytest.mark.parametrize("optimizer", ["adamw", pytest.param("adafactor", marks=pytest.mark.long)])
def test_updates_leave_every_bit_of_the_base_alone(base, optimizer):
    config = adapted(base, method="qlora", optimizer=optimizer)
    rows = _rows(config)
    engine = Planner(config, rows, cpu()).engine(MemoryRecorder(), step=0)
    state = first_state(engine.assembly)
    frozen, trained = leaf_hashes(state.frozen), leaf_hashes(state.params)
    for number in range(3):
        batch = rows.batch(batch_indices(rows=len(rows), batch_size=4, seed=0, step=number))
        state, _ = engine.step(state, to_device(batch, cpu()))
    assert leaf_hashes(state.frozen) == frozen
    assert all(now != trained[name] for name, now in leaf_hashes(state.params).items())


def test_layers_in_a_scan_begin_with_the_same_numbers(base):
    plain, scanned = (
        assemble(adapted(base, method="qlora", scan_layers=scan), cpu()) for scan in (False, True)
    )
    tokens = jnp.arange(2, 18).reshape(2, 8)
    one, other = (each.model(each.weights(first_state(each)))(tokens) for each in (plain, scanned))
    np.testing.assert_allclose(one, other, atol=1e-5)
    drawn, stacked = named_leaves(first_state(plain).params), named_leaves(first_state(scanned).params)
    for name, leaf in stacked.items():
        _, *rest = name.split(".")
        for layer in range(leaf.shape[0]):
            np.testing.assert_array_equal(leaf[layer], drawn[".".join(["blocks", str(layer), *rest])])


# The other two differ from these by biases and an output matrix alone.
@pytest.mark.parametrize(
    ("family", "scan"),
    [
        ("qwen3", False),
        ("gemma3", False),
        ("llama", True),
        pytest.param("llama", False, marks=pytest.mark.long),
        pytest.param("qwen2", False, marks=pytest.mark.long),
    ],
)
def test_merged_matrices_give_the_same_logits(root, family, scan):
    name = write_base(root, family)
    assembly = assemble(adapted(name, scan_layers=scan, lora_alpha=16.0), cpu())
    state = first_state(assembly)
    noise = jax.tree.map(
        lambda leaf: 0.3 * jax.random.normal(jax.random.key(leaf.size), leaf.shape), state.params
    )
    model = assembly.model(assembly.weights(state._replace(params=noise)))
    tokens = jnp.arange(2, 18).reshape(1, 16)
    unmerged = model(tokens)
    merge(model)
    assert not [leaf for leaf in named_leaves(jax.tree.map(lambda leaf: leaf, model)) if "lora" in leaf]
    np.testing.assert_allclose(model(tokens), unmerged, atol=2e-4)
    assert float(jnp.abs(unmerged - assembly.model(assembly.weights(state))(tokens)).max()) > 0.1


def test_matrices_in_few_bits_take_few_bytes_and_are_near(base):
    matrix = 0.02 * jax.random.normal(jax.random.key(0), (256, 128))
    near, coarse = restored(quantize(matrix, "int8"), FP32), restored(quantize(matrix, "nf4"), FP32)
    assert float(jnp.abs(near - matrix).max()) < 0.0004
    assert float(jnp.sqrt(jnp.mean((coarse - matrix) ** 2))) < 0.1 * 0.02
    assert quantize(matrix, "nf4").scales.shape == (4, 128)
    config = adapted(base, method="qlora")
    planned = Planner(config, _rows(config), cpu()).plan_of(config)
    plain = Planner(adapted(base), _rows(config), cpu()).plan_of(adapted(base))
    kernels = _sizes(adapted(base), "kernel")
    scales = 4 * _sizes(config, "scales")
    assert plain.frozen - planned.frozen == 4 * kernels - kernels // 2 - scales
    assert planned.optimizer == plain.optimizer < plain.frozen


def _sizes(config, kind):
    """Count the frozen numbers in leaves of a kind."""
    frozen = named_leaves(first_state(assemble(config, cpu())).frozen)
    return sum(leaf.size for name, leaf in frozen.items() if name.endswith(kind))


def _rows(config):
    from training.data import make_rows

    return make_rows(chain_examples(8), config, content_hash="", cache_dir=None)


def test_targets_are_searched_in_the_names_of_projections(base):
    assert len(targets(adapted(base), 3)) == 21
    some = adapted(base, lora_targets="layers.0.*q_proj|layers.0.*v_proj|layers.1.*q_proj|layers.1.*v_proj")
    assert targets(some, 3) == {f"{layer}.attention.{one}" for layer in (0, 1) for one in "qv"}
    with pytest.raises(ConfigError, match=r"fits no projection\. Names are.*layers\.0\.mlp\.down_proj"):
        targets(adapted(base, lora_targets="dense"), 3)
    with pytest.raises(ConfigError, match="some layers only"):
        assemble(some.model_copy(update={"scan_layers": True}), cpu())


def test_adapters_without_a_base_are_refused():
    with pytest.raises(ConfigError, match="import one with import_model, or take method=full"):
        fast_config(method="lora")


def test_a_checkpoint_of_adapters_goes_with_its_own_base_and_form_alone(root, base, tmp_path, cache_dir):
    config = adapted(base, steps=1)
    run_training(config, tmp_path, cache_dir, test_count=8)
    step_dir = newest(tmp_path)
    told = config.model_copy(update={"reasoning": "think"})
    with pytest.raises(CheckpointError, match="another tokenizer"):
        restore_params(step_dir, assembly=assemble(told, cpu()))
    alike = write_base(root, dtype="BF16")
    with pytest.raises(CheckpointError, match="Adapters mean nothing beside other weights"):
        restore_params(step_dir, assembly=assemble(config.model_copy(update={"model": alike}), cpu()))
    other = config.model_copy(update={"model": "tiny@" + "0" * 12})
    with pytest.raises(ConfigError, match=r"is not on this machine\. Import it with"):
        assemble(other, cpu())


def test_adapters_on_one_base_share_its_weights(base, tmp_path, cache_dir):
    models = Models(select_device("cpu"), cache_dir=cache_dir)
    for number, rank in enumerate([2, 4]):
        run_training(adapted(base, steps=1, lora_rank=rank), tmp_path / str(number), cache_dir, test_count=0)
        models.write(
            step_dir=newest(tmp_path / str(number)),
            prompt="1+1",
            decoding=make_decoding({"max_new_tokens": 2}),
            should_stop=lambda: False,
            on_text=lambda text: None,
        )
    one, other = (named_leaves(part(each.params, each.config)[1]) for each in models._loaded.values())
    assert one.keys() == other.keys()
    assert all(one[name] is other[name] for name in one)


def test_weights_that_changed_on_the_disk_are_refused_to_the_bit(root):
    name = write_base(root, "qwen2", dtype="F16")
    path = bases.find_base(name).folder / "model.safetensors"
    raw = bytearray(path.read_bytes())
    raw[-3] ^= 1
    path.write_bytes(raw)
    with pytest.raises(ConfigError, match="other content than when the model was imported"):
        first_state(assemble(adapted(name), cpu()))


def test_all_weights_of_a_base_are_trained_from_its_own(base):
    assembly = assemble(adapted(base, method="full"), cpu())
    state = first_state(assembly)
    assert part(state.params, assembly.config)[1] is None
    assert state.frozen is None
    again = first_state(assemble(adapted(base, method="full", seed=5), cpu()))
    assert params_hash(again.params) == params_hash(state.params)
