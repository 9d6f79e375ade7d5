"""The estimate beside what XLA says of the compiled update, and published shapes without their weights."""

from types import SimpleNamespace

import pytest

pytestmark = pytest.mark.jax
pytest.importorskip("jax")

import jax
from flax import nnx

from training import assembly
from training.adapters import targets
from training.config import TrainConfig
from training.hf.families import model_config_from_hf
from training.hf.names import tensors_of
from training.hf.tests.published import PUBLISHED
from training.leaves import named_leaves
from training.memory_estimate import estimate
from training.model import Transformer
from training.model_config import ModelConfig
from training.planning import Planner
from training.text_form import BYTES

LENGTH = 512
SHAPE = ModelConfig(
    layers=3, width=256, heads=4, kv_heads=2, head_size=64, mlp_width=768, vocab_size=8192, qkv_bias=True
)
# What the compiler makes of an update is its own affair; what lies there before it is not.
TEMPORARIES = 0.2
BYTES_OF_COUNTERS = 1024


def planned(monkeypatch, **values):
    """What XLA and what the estimate say of an update on a shape that no base model has."""
    monkeypatch.setattr(assembly, "model_shape", lambda model: SHAPE)
    monkeypatch.setattr(assembly, "text_form", lambda config: BYTES)
    config = TrainConfig(
        model="shape@" + "0" * 12,
        sequence_length=LENGTH,
        batch_size=2,
        precision="fp32",
        attention="dense",
        scan_layers=True,
        **values,
    )
    rows = SimpleNamespace(width=LENGTH, reach=LENGTH, max_segments=4)
    plan = Planner(config, rows, jax.devices("cpu")[0]).plan_of(config)
    return plan, estimate(SHAPE, config, gpu=False, attention="dense")


@pytest.mark.parametrize(
    "values",
    [
        {"method": "full", "remat": "block"},
        {"method": "lora", "remat": "block"},
        {"method": "qlora", "remat": "block"},
    ],
    ids=lambda values: "-".join(map(str, values.values())),
)
def test_an_estimate_is_near_what_the_compiled_update_needs(monkeypatch, values):
    plan, about = planned(monkeypatch, **values)
    assert about.trained == plan.parameters
    assert about.frozen == plan.frozen
    assert 0 <= plan.optimizer - about.optimizer < BYTES_OF_COUNTERS
    assert about.batch == plan.batch
    assert about.temporaries == pytest.approx(plan.temporaries, rel=TEMPORARIES)
    assert about.total == pytest.approx(plan.peak, rel=TEMPORARIES)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_model_has_its_parameters_without_its_weights(name):
    expected, config = PUBLISHED[name]
    shape = model_config_from_hf(config)

    def model():
        return Transformer(shape, dtype=jax.numpy.dtype("bfloat16"), implementation="dense", rngs=nnx.Rngs(0))

    leaves = named_leaves(nnx.split(nnx.eval_shape(model))[1])
    assert sum(leaf.size for leaf in leaves.values()) == expected
    theirs = {one.ours: one.shape[::-1] if one.transposed else one.shape for one in tensors_of(shape)}
    assert {path: leaf.shape for path, leaf in leaves.items()} == theirs


def test_targets_are_those_that_get_adapters():
    config = TrainConfig(
        model="shape@" + "0" * 12, method="lora", lora_rank=2, lora_targets="q_proj|v_proj|down"
    )
    sizes = {one.ours: sum(one.shape) for one in tensors_of(SHAPE)}
    found = targets(config, SHAPE.layers)
    numbers = 2 * sum(sizes[f"blocks.{name}.kernel"] for name in found)
    assert estimate(SHAPE, config).trained == 4 * numbers
