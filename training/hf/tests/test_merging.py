"""What is exported of a model with adapters computes what the model with adapters does."""

import pytest

pytestmark = pytest.mark.jax
pytest.importorskip("jax")

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from training import assembly as assembling
from training import bases, checkpoint_store
from training.bases import find_base
from training.config import make_config
from training.hf.adapters import read_adapter
from training.hf.export_child import export
from training.hf.outgoing import leaf
from training.hf.reading import stream
from training.hf.tensors import params_from_hf
from training.hf.tests.arrays import arrays_of, write_base
from training.leaves import named_leaves
from training.model import Transformer
from training.text_form import BYTES


@pytest.fixture(autouse=True)
def models(tmp_path, monkeypatch):
    root, before = tmp_path / "models", bases._places[0]
    root.mkdir()
    bases.use_root(lambda: root)
    # The fixtures have no tokenizer, and none is needed for logits.
    monkeypatch.setattr(assembling, "text_form", lambda config: replace(BYTES, vocab_size=80))
    yield root
    bases.use_root(before)


def trained(model, **config):
    """A state whose adapters add something."""
    assembly = assembling.assemble(
        make_config({"model": model, "steps": 1, "lora_rank": 2, "lora_alpha": 3, **config}),
        jax.devices("cpu")[0],
    )
    state = assembling.first_state(assembly)
    draw = np.random.default_rng(0)
    filled = jax.tree.map(
        lambda leaf: jnp.asarray(draw.normal(size=leaf.shape) * 0.2, leaf.dtype), state.params
    )
    return assembly, state._replace(params=filled)


def request(folder, models, format, target):
    return {
        "step_dir": str(folder / "1"),
        "models": str(models),
        "format": format,
        "target": str(folder / target),
        "card": "",
        "overwrite": False,
        "max_shard_bytes": 10**9,
    }


@pytest.mark.parametrize(
    "config",
    [
        {
            "method": "lora",
            "lora_targets": "layers.0.*q_proj|layers.0.*o_proj|layers.2.*q_proj|layers.2.*o_proj",
        },
        # Scans, and putting matrices into few bits, take long to compile.
        pytest.param({"method": "qlora", "scan_layers": True}, marks=pytest.mark.long),
    ],
)
def test_exports_compute_what_the_checkpoint_does(tmp_path, models, config):
    family = "qwen3"
    model = write_base(models, family, dtype="float32")
    assembly, state = trained(model, **config)
    facts = checkpoint_store.describe(assembly, step=1, loss=1.0)
    checkpoint_store.write(tmp_path, jax.device_get(state).saved, step=1, facts=facts)
    export(request(tmp_path, models, "hf", "merged"), lambda **told: None)
    arrays = arrays_of(family)
    tokens = arrays["input_ids"]
    wanted = jax.jit(assembly.model(assembly.weights(state)))(tokens)
    np.testing.assert_allclose(logits_of(tmp_path / "merged", model, tokens), wanted, atol=2e-4, rtol=0)
    # The adapters had a say.
    assert np.abs(arrays["logits"] - wanted).max() > 0.1

    found = export(request(tmp_path, models, "adapter", "adapter"), lambda **told: None)
    assert found["files"] == ["README.md", "adapter_config.json", "adapter_model.safetensors"]
    read = read_adapter(tmp_path / "adapter", assembly.shape)[1]
    leaves = named_leaves(state.params)
    for name, array in read.items():
        np.testing.assert_array_equal(array, leaf(leaves, name))
    assert sum(array.size for array in read.values()) == sum(array.size for array in leaves.values())


def logits_of(folder, model, tokens):
    shape = find_base(model).shape
    params = params_from_hf({tensor.theirs: array for tensor, array in stream(folder, shape)}, shape)

    def make():
        return Transformer(shape, dtype=jnp.dtype("float32"), implementation="dense", rngs=nnx.Rngs(0))

    graph = nnx.split(nnx.eval_shape(make))[0]
    return jax.jit(nnx.merge(graph, jax.device_put(params)))(tokens)
