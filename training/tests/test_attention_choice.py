from types import SimpleNamespace
from typing import Any

import pytest

pytestmark = pytest.mark.jax
pytest.importorskip("jax")

import jax
import jax.numpy as jnp

from training.attention import causal_attention
from training.attention_choice import REQUIREMENTS, Needs, choose_attention, difference
from training.errors import ConfigError
from training.model_config import preset


def needs(**changes):
    facts: dict[str, Any] = {
        "device": SimpleNamespace(platform="gpu", compute_capability="9.0"),
        "dtype": jnp.dtype("bfloat16"),
        "heads": 4,
        "kv_heads": 2,
        "head_size": 64,
        "length": 512,
        "packed": True,
        "windows": (None,),
        "soft_cap": None,
        "max_segments": 4,
    }
    return Needs(**facts | changes)


def card(capability):
    return SimpleNamespace(platform="gpu", compute_capability=capability)


def here(**changes):
    return needs(device=jax.devices("cpu")[0], **changes)


def choose(**changes):
    facts: dict[str, Any] = {
        "wanted": "auto",
        "device": jax.devices("cpu")[0],
        "dtype": jnp.dtype("float32"),
        "shape": preset("tiny"),
        "packed": True,
        "batch": 8,
        "length": 512,
    }
    return choose_attention(**facts | changes)


@pytest.mark.parametrize("packed", [True, False])
def test_a_cpu_takes_attention_in_blocks(packed):
    chosen = choose(packed=packed)
    assert (chosen.name, chosen.fallback) == ("chunked", False)
    assert "CPU" in chosen.reason


@pytest.mark.parametrize("name", ["dense", "chunked"])
def test_what_runs_everywhere_can_be_asked_for(name):
    assert choose(wanted=name, soft_cap=30.0, windows=[512, None]).name == name


@pytest.mark.parametrize("name", ["cudnn", "cudnn_packed", "triton"])
def test_what_cannot_run_here_is_refused_with_the_reason_and_what_can(name):
    with pytest.raises(
        ConfigError,
        match=rf"attention={name} cannot run here: it needs an NVIDIA GPU, this is cpu. Use .*dense",
    ):
        choose(wanted=name)


@pytest.mark.parametrize(
    ("name", "change", "why"),
    [
        ("cudnn", {"packed": True}, "traces of a packed row apart"),
        ("cudnn", {"packed": False, "dtype": jnp.dtype("float32")}, "bf16 or fp16"),
        ("cudnn", {"packed": False, "head_size": 20}, "that 8 divides, this is 20"),
        ("cudnn", {"packed": False, "device": card("8.9"), "head_size": 256}, "up to 128"),
        ("cudnn", {"packed": False, "device": card("7.5")}, "capability 8.0, this is 7.5"),
        ("cudnn", {"packed": False, "soft_cap": 50.0}, "softly"),
        ("cudnn_packed", {"device": card("8.9")}, "capability 9.0, this is 8.9"),
        ("cudnn_packed", {"packed": False}, "one trace each"),
        ("cudnn_packed", {"soft_cap": 50.0}, "softly"),
        ("cudnn_packed", {"max_segments": None}, "how many traces"),
        ("cudnn_packed", {"dtype": jnp.dtype("float32")}, "bf16 or fp16"),
        ("triton", {"device": card("7.5")}, "capability 8.0"),
        ("triton", {"dtype": jnp.dtype("float32")}, "bf16 or fp16"),
        ("triton", {"soft_cap": 50.0}, "softly"),
        ("triton", {"head_size": 24}, "that 16 divides"),
    ],
)
def test_every_requirement_is_named(name, change, why):
    assert why in REQUIREMENTS[name].obstacle(needs(**change))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("cudnn", {"packed": False}),
        ("cudnn", {"packed": False, "device": card("10.0"), "head_size": 256}),
        ("cudnn_packed", {}),
        ("cudnn_packed", {"device": card("12.0"), "windows": (512, None)}),
        ("dense", {"soft_cap": 50.0, "dtype": jnp.dtype("float32"), "head_size": 20}),
    ],
)
def test_requirements_that_are_met_are_no_obstacle(name, change):
    assert REQUIREMENTS[name].obstacle(needs(**change)) == ""


def test_the_libraries_kernel_needs_its_library():
    why = REQUIREMENTS["triton"].obstacle(needs())
    assert why == "" or "tokamax" in why


def test_the_trial_finds_no_difference_where_there_is_none():
    def dense(q, k, v, segments):
        return causal_attention(q, k, v, "dense", segments=segments)

    def chunked(q, k, v, segments):
        return causal_attention(q, k, v, "chunked", segments=segments, reach=256)

    assert difference(chunked, dense, here()) == ""
    assert difference(chunked, dense, here(packed=False)) == ""
    assert difference(chunked, dense, here(max_segments=1, length=16)) == ""


def test_the_trial_finds_a_mask_that_is_left_out():
    def dense(q, k, v, segments):
        return causal_attention(q, k, v, "dense", segments=segments, window=24)

    def no_segments(q, k, v, _segments):
        return causal_attention(q, k, v, "dense", window=24)

    def no_window(q, k, v, segments):
        return causal_attention(q, k, v, "dense", segments=segments)

    def no_mask(q, k, v, _segments):
        return jax.nn.dot_product_attention(q, k, v)

    for wrong in (no_segments, no_window, no_mask):
        assert "its output differs from dense attention by" in difference(wrong, dense, here())


def test_the_trial_finds_a_gradient_that_is_wrong():
    def dense(q, k, v, segments):
        return causal_attention(q, k, v, "dense", segments=segments)

    def half_blind(q, k, v, segments):
        return dense(q, jax.lax.stop_gradient(k), v, segments)

    assert "its dk differs" in difference(half_blind, dense, here())


def test_nan_and_exceptions_are_obstacles():
    def dense(q, k, v, segments):
        return causal_attention(q, k, v, "dense", segments=segments)

    def nan(q, k, v, segments):
        return dense(q, k, v, segments) * jnp.nan

    def refusing(q, k, v, segments):
        raise NotImplementedError("no such\n kernel")

    assert "differs" in difference(nan, dense, here())
    assert difference(refusing, dense, here()) == "no such kernel"


def test_on_a_gpu_without_a_kernel_dense_attention_is_a_loud_fallback():
    chosen = choose(device=card("7.5"), dtype=jnp.dtype("bfloat16"), max_segments=7)
    assert (chosen.name, chosen.fallback) == ("dense", True)
    for part in ("cudnn_packed: it needs", "cudnn: it", "triton: it", "GiB"):
        assert part in chosen.reason
