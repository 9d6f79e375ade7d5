"""What the committed models of transformers cover, so that no later set covers less."""

import pytest

pytest.importorskip("numpy")

from training.hf.families import model_config_from_hf
from training.hf.tests.arrays import FAMILIES, arrays_of, fixture_config

SHAPES = {family: model_config_from_hf(fixture_config(family)) for family in FAMILIES}


def test_there_is_one_of_every_kind():
    shapes = SHAPES.values()
    assert {shape.tied for shape in shapes} == {True, False}
    assert {shape.qkv_bias for shape in shapes} == {True, False}
    assert {shape.qk_norm for shape in shapes} == {True, False}
    assert {shape.head_size * shape.heads == shape.width for shape in shapes} == {True, False}
    assert {shape.heads // shape.kv_heads for shape in shapes} == {2, 4}


def test_texts_go_beyond_the_window_and_where_scaling_counts_from():
    longest = {family: arrays_of(family)["input_ids"].shape[1] for family in FAMILIES}
    gemma, llama = SHAPES["gemma3"], SHAPES["llama"]
    assert gemma.window is not None
    assert longest["gemma3"] >= 2 * gemma.window
    assert {gemma.window_of(layer) for layer in range(gemma.layers)} == {gemma.window, None}
    assert llama.rope_scaling is not None
    assert llama.rope_scaling.kind == "llama3"
    assert longest["llama"] >= 2 * llama.rope_scaling.original_length
