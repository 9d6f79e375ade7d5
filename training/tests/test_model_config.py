import pytest
from pydantic import ValidationError

from training.errors import ConfigError
from training.model_config import PRESETS, ModelConfig, parameter_count, preset


def test_an_unknown_preset_is_named_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"'huge'.*tiny \(423,040\)"):
        preset("huge")


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("nano", 0.05),
        ("tiny", 0.42),
        ("small", 3.0),
        ("base", 30),
        ("gpt2-124m", 124),
        ("350m", 351),
        ("1b", 974),
    ],
)
def test_each_preset_has_the_size_that_its_name_says(name, millions):
    assert parameter_count(PRESETS[name]) / 1e6 == pytest.approx(millions, rel=0.1)


def test_heads_that_do_not_divide_are_refused():
    with pytest.raises(ValidationError, match="multiple of kv_heads"):
        ModelConfig(layers=1, width=8, heads=3, kv_heads=2, head_size=4, mlp_width=8)
