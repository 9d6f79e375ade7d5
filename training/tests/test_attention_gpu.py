"""Every fused kernel against dense attention, on a card that has it."""

import pytest

pytestmark = [pytest.mark.jax, pytest.mark.gpu]
pytest.importorskip("jax")

import jax
import jax.numpy as jnp

from training.attention import Implementation
from training.attention_choice import REQUIREMENTS, Needs, choose_attention, obstacle
from training.model_config import preset


def needs(**changes):
    shape = preset("gpt2-124m")
    wanted = Needs(
        device=jax.devices("gpu")[0],
        dtype=jnp.dtype(jnp.bfloat16),
        heads=shape.heads,
        kv_heads=4,
        head_size=shape.head_size,
        length=256,
        packed=True,
        windows=(None, 100),
        soft_cap=None,
        max_segments=3,
    )
    return wanted._replace(**changes)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("name", ["cudnn", "cudnn_packed", "triton"])
def test_a_kernel_that_the_card_has_agrees_with_dense_attention(name: Implementation, packed):
    wanted = needs(packed=packed)
    if why := REQUIREMENTS[name].obstacle(wanted):
        pytest.skip(f"{name}: {why}")
    assert obstacle(name, wanted) == ""


@pytest.mark.parametrize("packed", [True, False])
def test_what_is_chosen_says_why_nothing_better_was(packed):
    chosen = choose_attention(
        wanted="auto",
        device=jax.devices("gpu")[0],
        dtype=jnp.dtype(jnp.bfloat16),
        shape=preset("gpt2-124m"),
        packed=packed,
        batch=8,
        length=1024,
        max_segments=4,
    )
    assert chosen.fallback == (chosen.name == "dense")
    assert chosen.reason
