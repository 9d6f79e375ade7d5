"""Targets of adapters: what patterns find, how fast, and what is no pattern."""

import time

import pytest

from training.config import make_config
from training.errors import ConfigError
from training.targeting import is_target

Q, K, DOWN = (f"layers.1.{name}" for name in ("self_attn.q_proj", "self_attn.k_proj", "mlp.down_proj"))


def config(**values):
    return make_config({"model": "some@" + "0" * 12, "method": "lora", **values})


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("all-linear", [Q, K, DOWN]),
        ("q_proj", [Q]),
        ("q_proj|down", [Q, DOWN]),
        ("self_attn", [Q, K]),
        ("?_proj", [Q, K, DOWN]),
        ("self_attn.?_proj", [Q, K]),
        ("layers.1.*_proj", [Q, K, DOWN]),
        ("1.*n.q*", [Q]),
        ("layers.0|mlp.", [DOWN]),
        ("layers.?.mlp", [DOWN]),
        ("proj?", []),
        ("q_proj*layers", []),
        ("Q_PROJ", []),
        # A dot is a dot.
        ("self.attn", []),
    ],
)
def test_patterns_are_found_anywhere_in_the_name(wanted, found):
    assert config(lora_targets=wanted).lora_targets == wanted
    assert [name for name in (Q, K, DOWN) if is_target(wanted, name)] == found


def test_no_pattern_takes_long():
    began = time.perf_counter()
    for wanted in ("*a" * 249 + "*", "?" * 500, "*?" * 250, "l*" * 249 + "z", "z|" * 249 + "z"):
        assert not is_target(config(lora_targets=wanted).lora_targets, "layers.10.self_attn.q_proj" * 2)
    assert time.perf_counter() - began < 1


@pytest.mark.parametrize(
    "wanted",
    ["(", "(a+)+$", "x{99999999999999999999}", r"layers\.0", "[qv]_proj", "q_proj|", "*", "a b", "ä"],
)
def test_what_is_no_pattern_is_refused(wanted):
    with pytest.raises(ConfigError, match=r"takes all-linear, or patterns.*such as q_proj\|v_proj"):
        config(lora_targets=wanted)


@pytest.mark.parametrize("method", ["lora", "qlora"])
def test_muon_and_adapters_do_not_go_together(method):
    with pytest.raises(ConfigError, match=f"optimizer=muon takes matrices .* method={method} leaves as"):
        config(method=method, optimizer="muon")
    assert config(method="full", optimizer="muon").optimizer == "muon"
