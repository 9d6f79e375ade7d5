"""Counting operations: against sums by hand, and the rule of six times parameters times tokens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.flops import BACKWARD, forward_flops, seen_pairs
from training.model_config import PRESETS, ModelConfig, parameter_count


@given(length=st.integers(0, 60), window=st.none() | st.integers(1, 70))
def test_pairs_are_those_that_a_causal_query_sees(length, window):
    seen = sum(1 for query in range(length) for key in range(query + 1) if query - key < (window or length))
    assert seen_pairs(length, window) == seen


@pytest.mark.parametrize("name", PRESETS)
def test_weights_cost_two_operations_a_token_and_parameter(name):
    shape = PRESETS[name]
    found = forward_flops(shape, [1] * 1000)
    norms = (2 * shape.layers + 1) * shape.width
    # The tied table gives the logits; looking up in it costs no product.
    assert found.blocks + found.logits == 2 * 1000 * (parameter_count(shape) - norms)
    assert found.update == (1 + BACKWARD) * found.total


def test_attention_by_hand():
    shape = ModelConfig(layers=2, width=8, heads=2, kv_heads=1, head_size=4, mlp_width=16)
    # 2 layers; 3 + 2 + 1 pairs; scores and sums, 2 operations over 2 heads of 4 each.
    assert forward_flops(shape, [3]).attention == 2 * 6 * 2 * 2 * 8


def test_packed_traces_cost_less_attention_than_one_long_row():
    shape = PRESETS["tiny"]
    packed, whole = forward_flops(shape, [64] * 8), forward_flops(shape, [512])
    assert packed.blocks == whole.blocks
    assert packed.attention < whole.attention / 7


def test_a_window_bounds_what_a_long_row_costs():
    wide = PRESETS["tiny"].model_copy(update={"window": 64})
    assert forward_flops(wide, [4096]).attention < forward_flops(PRESETS["tiny"], [4096]).attention / 20
