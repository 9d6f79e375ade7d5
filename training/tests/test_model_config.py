import pytest
from pydantic import ValidationError

from training.errors import ConfigError
from training.model_config import PRESETS, ModelConfig, parameter_count, preset

SHAPE = ModelConfig(layers=1, width=8, heads=2, kv_heads=2, head_size=4, mlp_width=8)


def changed(**fields):
    return ModelConfig.model_validate({**SHAPE.model_dump(), **fields})


def test_an_unknown_preset_is_named_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"'huge'.*tiny \(423,040\)"):
        preset("huge")


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("nano", 49_888),
        ("tiny", 423_040),
        ("small", 2_968_832),
        ("base", 29_635_072),
        ("arithmetic-11m", 10_721_664),
        ("gpt2-124m", 124_081_920),
        ("350m", 351_065_088),
        ("1b", 973_678_592),
    ],
)
def test_a_preset_keeps_its_size(name, parameters):
    assert parameter_count(PRESETS[name]) == parameters


def test_heads_that_do_not_divide_are_refused():
    with pytest.raises(ValidationError, match="multiple of kv_heads"):
        changed(heads=3)


def test_a_pattern_of_layers_without_a_window_is_refused():
    with pytest.raises(ValidationError, match="need a window"):
        changed(global_every=2)
    with pytest.raises(ValidationError, match="need a window"):
        changed(local_rope_theta=10_000.0)


def test_a_ramp_of_wave_lengths_must_rise():
    scaling = {
        "kind": "llama3",
        "factor": 8,
        "low_frequency": 4,
        "high_frequency": 4,
        "original_length": 64,
    }
    with pytest.raises(ValidationError, match=r"high_frequency \(4.0\) must be above"):
        changed(rope_scaling=scaling)


def test_every_nth_layer_has_no_window():
    shape = changed(layers=6, window=5, global_every=3)
    assert [shape.window_of(layer) for layer in range(6)] == [5, 5, None, 5, 5, None]
    assert not shape.layers_are_alike
    assert changed(layers=6, window=5).layers_are_alike
    assert changed(layers=2, window=5, global_every=3).layers_are_alike
    assert [SHAPE.window_of(layer) for layer in range(2)] == [None, None]


def test_a_shape_survives_json():
    scaling = {"kind": "linear", "factor": 8.0}
    shape = changed(layers=6, window=5, global_every=3, rope_scaling=scaling, final_soft_cap=30.0)
    assert ModelConfig.model_validate_json(shape.model_dump_json()) == shape
