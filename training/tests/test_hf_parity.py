"""Our model against logits that transformers computed (see scripts/parity_fixtures.py)."""

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.jax
pytest.importorskip("jax")

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from training.hf.families import model_config_from_hf
from training.hf.tensors import params_from_hf, params_to_hf
from training.model import Transformer

FOLDER = Path(__file__).parent / "fixtures" / "hf"
FAMILIES = ("llama", "qwen2", "qwen3", "gemma3")


class Reference:
    """One family's fixture: the shape, the tensors, the tokens and the logits to reach."""

    def __init__(self, family):
        self.config = json.loads((FOLDER / f"{family}.json").read_text())["config"]
        with np.load(FOLDER / f"{family}.npz") as stored:
            arrays = dict(stored)
        self.tokens, self.logits = arrays.pop("input_ids"), arrays.pop("logits")
        self.tensors = arrays
        self.shape = model_config_from_hf(self.config)

    def model(self, shape, *, params=None):
        def make():
            return Transformer(shape, dtype=jnp.dtype("float32"), implementation="dense", rngs=nnx.Rngs(0))

        graph = nnx.split(nnx.eval_shape(make))[0]
        return nnx.merge(graph, jax.device_put(params or params_from_hf(self.tensors, shape)))

    def distance(self, **changes):
        """The largest difference of logits, with parts of the shape changed but the same tensors."""
        params = params_from_hf(self.tensors, self.shape)
        model = self.model(self.shape.model_copy(update=changes), params=params)
        return float(np.abs(jax.jit(model)(self.tokens) - self.logits).max())


@pytest.fixture(scope="module")
def references():
    return {family: Reference(family) for family in FAMILIES}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_logits_are_those_of_transformers(references, family):
    assert references[family].distance() < 1e-4


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("llama", {"rope_scaling": None}),
        ("llama", {"rope_theta": 500.0}),
        ("qwen2", {"rope_theta": 500.0}),
        ("qwen3", {"norm_epsilon": 0.1}),
        ("gemma3", {"window": 13}),
        ("gemma3", {"window": None}),
        ("gemma3", {"global_every": 2}),
        ("gemma3", {"local_rope_theta": None}),
        ("gemma3", {"attention_scale": None}),
        ("gemma3", {"embedding_scale": False}),
        ("gemma3", {"final_soft_cap": None}),
        ("gemma3", {"unit_offset": False}),
        ("gemma3", {"activation": "silu"}),
    ],
)
def test_each_feature_has_a_say_in_them(references, family, changes):
    assert references[family].distance(**changes) > 1e-3


@pytest.mark.parametrize(
    ("family", "feature", "dropped"),
    [
        ("qwen2", {"qkv_bias": False}, ("_proj.bias",)),
        ("qwen3", {"qk_norm": False}, ("q_norm.", "k_norm.")),
        ("gemma3", {"qk_norm": False}, ("q_norm.", "k_norm.")),
    ],
)
def test_each_parameter_of_a_family_has_a_say_in_them(references, family, feature, dropped):
    reference = references[family]
    shape = reference.shape.model_copy(update=feature)
    left = {name: t for name, t in reference.tensors.items() if not any(part in name for part in dropped)}
    model = reference.model(shape, params=params_from_hf(left, shape))
    assert np.abs(model(reference.tokens) - reference.logits).max() > 1e-3


@pytest.mark.parametrize("norm", ["post_attention_layernorm", "post_feedforward_layernorm"])
def test_the_norms_after_each_half_of_gemma_have_a_say_in_them(references, norm):
    reference = references["gemma3"]
    changed = {name: t * 0 if norm in name else t for name, t in reference.tensors.items()}
    model = reference.model(reference.shape, params=params_from_hf(changed, reference.shape))
    assert np.abs(model(reference.tokens) - reference.logits).max() > 1e-3


@pytest.mark.parametrize("family", FAMILIES)
def test_the_cache_reproduces_them_too(references, family):
    reference = references[family]
    model = reference.model(reference.shape)
    tokens, start = jnp.asarray(reference.tokens), 8
    rows = tokens.shape[0]
    logits, caches = nnx.jit(Transformer.prefill, static_argnums=3)(
        model, tokens[:, :start], jnp.full((rows,), start), 48
    )
    decode = nnx.jit(Transformer.decode)
    for place in range(start, tokens.shape[1]):
        np.testing.assert_allclose(logits, reference.logits[:, place - 1], atol=1e-4, rtol=0)
        logits, caches = decode(model, tokens[:, place], jnp.full((rows,), place), caches)


@pytest.mark.parametrize("family", FAMILIES)
def test_tensors_come_back_as_they_were(references, family):
    reference = references[family]
    back = params_to_hf(params_from_hf(reference.tensors, reference.shape), reference.shape)
    assert back.keys() == reference.tensors.keys()
    for name, tensor in reference.tensors.items():
        np.testing.assert_array_equal(back[name], tensor)
