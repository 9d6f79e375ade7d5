"""Every tensor of a file is accounted for."""

import pytest

pytestmark = pytest.mark.jax
pytest.importorskip("jax")

import ml_dtypes
import numpy as np

from training.errors import ConfigError
from training.hf.families import model_config_from_hf
from training.hf.tensors import params_from_hf
from training.leaves import named_leaves

CONFIG = {
    "model_type": "llama",
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "vocab_size": 16,
    "tie_word_embeddings": True,
}
SHAPE = model_config_from_hf(CONFIG)
SHAPES = {
    "model.embed_tokens.weight": (16, 8),
    "model.norm.weight": (8,),
    "model.layers.0.input_layernorm.weight": (8,),
    "model.layers.0.post_attention_layernorm.weight": (8,),
    "model.layers.0.self_attn.q_proj.weight": (8, 8),
    "model.layers.0.self_attn.k_proj.weight": (8, 8),
    "model.layers.0.self_attn.v_proj.weight": (8, 8),
    "model.layers.0.self_attn.o_proj.weight": (8, 8),
    "model.layers.0.mlp.gate_proj.weight": (12, 8),
    "model.layers.0.mlp.up_proj.weight": (12, 8),
    "model.layers.0.mlp.down_proj.weight": (8, 12),
}


@pytest.fixture
def tensors():
    draw = np.random.default_rng(0)
    return {name: draw.normal(size=shape) for name, shape in SHAPES.items()}


def test_matrices_are_turned_and_all_becomes_fp32(tensors):
    stored = {name: tensor.astype(ml_dtypes.bfloat16) for name, tensor in tensors.items()}
    leaves = named_leaves(params_from_hf(stored, SHAPE))
    assert len(leaves) == len(SHAPES)
    assert {str(leaf.dtype) for leaf in leaves.values()} == {"float32"}
    for theirs, ours in (("mlp.gate_proj", "mlp.gate"), ("self_attn.o_proj", "attention.out")):
        expected = stored[f"model.layers.0.{theirs}.weight"].astype(np.float32).T
        np.testing.assert_array_equal(leaves[f"blocks.0.{ours}.kernel"], expected)


def test_missing_and_unexpected_tensors_are_named(tensors):
    del tensors["model.norm.weight"]
    tensors["model.layers.1.input_layernorm.weight"] = np.ones(8)
    tensors["model.layers.0.self_attn.q_proj.bias"] = np.ones(8)
    with pytest.raises(
        ConfigError, match=r"missing: model\.norm\.weight; unexpected: .*q_proj\.bias, model\.layers\.1"
    ):
        params_from_hf(tensors, SHAPE)


def test_a_tensor_of_another_shape_is_named_with_both(tensors):
    tensors["model.layers.0.mlp.up_proj.weight"] = np.ones((8, 12))
    with pytest.raises(ConfigError, match=r"up_proj.weight is \[8, 12\], the config asks for \[12, 8\]"):
        params_from_hf(tensors, SHAPE)


def test_a_tied_model_may_repeat_its_table_but_not_contradict_it(tensors):
    tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = np.ones(2)
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].copy()
    assert "output.kernel" not in named_leaves(params_from_hf(tensors, SHAPE))
    tensors["lm_head.weight"] = tensors["lm_head.weight"] + 1
    with pytest.raises(ConfigError, match=r"lm_head\.weight is the embedding .* both are stored and differ"):
        params_from_hf(tensors, SHAPE)
