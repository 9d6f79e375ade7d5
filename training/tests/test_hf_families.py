"""What is read from config.json, and what is refused; sizes as the published models have them."""

import pytest

from training.errors import ConfigError
from training.hf.families import model_config_from_hf
from training.model_config import LinearRope, Llama3Rope, parameter_count

LLAMA3 = {
    "factor": 32.0,
    "high_freq_factor": 4.0,
    "low_freq_factor": 1.0,
    "original_max_position_embeddings": 8192,
    "rope_type": "llama3",
}
LLAMA3_ROPE = Llama3Rope(factor=32, low_frequency=1, high_frequency=4, original_length=8192)


def sizes(*numbers, **rest):
    width, layers, heads, kv_heads, mlp_width, vocab_size = numbers
    return {
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "intermediate_size": mlp_width,
        "vocab_size": vocab_size,
        **rest,
    }


def llama(*numbers, **rest):
    return sizes(*numbers, model_type="llama", hidden_act="silu", rms_norm_eps=1e-5, **rest)


def qwen3(*numbers, **rest):
    own = {"head_dim": 128, "rope_theta": 1_000_000, "tie_word_embeddings": True, "attention_bias": False}
    windows = {"use_sliding_window": False, "sliding_window": None, "max_window_layers": 28}
    return sizes(*numbers, model_type="qwen3", hidden_act="silu", **own, **windows, **rest)


def gemma3(*numbers, **rest):
    own = {"head_dim": 256, "query_pre_attn_scalar": 256, "sliding_window": 512, "sliding_window_pattern": 6}
    ropes = {"rope_theta": 1_000_000.0, "rope_local_base_freq": 10_000.0, "rope_scaling": None}
    hidden = {"hidden_activation": "gelu_pytorch_tanh"}
    return sizes(*numbers, model_type="gemma3_text", **hidden, **own, **ropes, **rest)


PUBLISHED = {
    "Qwen3-0.6B": (qwen3(1024, 28, 16, 8, 3072, 151_936), 596_049_920),
    "Qwen3-1.7B": (qwen3(2048, 28, 16, 8, 6144, 151_936), 1_720_574_976),
    "Qwen2.5-0.5B": (
        sizes(
            896,
            24,
            14,
            2,
            4864,
            151_936,
            model_type="qwen2",
            hidden_act="silu",
            rope_theta=1_000_000.0,
            tie_word_embeddings=True,
            use_sliding_window=False,
            sliding_window=32_768,
            max_window_layers=24,
        ),
        494_032_768,
    ),
    "Llama-3.2-1B": (
        llama(
            2048,
            16,
            32,
            8,
            8192,
            128_256,
            head_dim=64,
            tie_word_embeddings=True,
            rope_theta=500_000.0,
            rope_scaling=LLAMA3,
        ),
        1_235_814_400,
    ),
    "Gemma-3-270m": (gemma3(640, 18, 4, 1, 2048, 262_144), 268_098_176),
    "Gemma-3-1b": (gemma3(1152, 26, 4, 1, 6912, 262_144), 999_885_952),
    "SmolLM2-135M": (
        llama(576, 30, 9, 3, 1536, 49_152, tie_word_embeddings=True, rope_theta=100_000),
        134_515_008,
    ),
    "SmolLM2-360M": (
        llama(960, 32, 15, 5, 2560, 49_152, tie_word_embeddings=True, rope_theta=100_000),
        361_821_120,
    ),
    "TinyLlama-1.1B": (llama(2048, 22, 32, 4, 5632, 32_000, tie_word_embeddings=False), 1_100_048_384),
}
QWEN, LLAMA, GEMMA = (PUBLISHED[name][0] for name in ("Qwen3-0.6B", "Llama-3.2-1B", "Gemma-3-1b"))


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_model_has_its_published_number_of_parameters(name):
    config, parameters = PUBLISHED[name]
    assert parameter_count(model_config_from_hf(config)) == parameters


def without(config, *keys):
    return {key: value for key, value in config.items() if key not in keys}


def test_both_spellings_of_the_rotary_keys_say_the_same():
    newer = without(LLAMA, "rope_theta", "rope_scaling")
    newer["rope_parameters"] = {**LLAMA3, "rope_theta": 500_000.0}
    assert model_config_from_hf(newer) == model_config_from_hf(LLAMA)
    assert model_config_from_hf(LLAMA).rope_scaling == LLAMA3_ROPE

    newer = without(GEMMA, "rope_theta", "rope_local_base_freq", "rope_scaling")
    newer["rope_parameters"] = {
        "full_attention": {"rope_type": "default", "rope_theta": 1_000_000.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 10_000.0},
    }
    older = model_config_from_hf(GEMMA)
    assert model_config_from_hf(newer) == older
    assert (older.rope_theta, older.local_rope_theta) == (1_000_000.0, 10_000.0)
    scaled = model_config_from_hf({**GEMMA, "rope_scaling": {"rope_type": "linear", "factor": 8.0}})
    assert scaled.rope_scaling == LinearRope(factor=8.0)


def test_the_oldest_name_of_a_rotary_type_and_the_stored_type_are_read_too():
    old = {**LLAMA, "rope_scaling": {"type": "linear", "factor": 2.0}, "torch_dtype": "bfloat16"}
    assert model_config_from_hf(old).rope_scaling == LinearRope(factor=2.0)
    assert model_config_from_hf({**LLAMA, "dtype": "bfloat16"}) == model_config_from_hf(LLAMA)


def test_gemma_is_read_from_the_pattern_and_from_the_list_of_layers():
    kinds = (["sliding_attention"] * 5 + ["full_attention"]) * 5
    listed = {**without(GEMMA, "sliding_window_pattern"), "layer_types": kinds[:26]}
    shape = model_config_from_hf(listed)
    assert shape == model_config_from_hf(GEMMA)
    assert (shape.window, shape.global_every, shape.attention_scale) == (512, 6, 1 / 16)
    assert [shape.window_of(layer) for layer in (0, 4, 5, 6)] == [512, 512, None, 512]


def test_keys_that_files_leave_out_have_the_meaning_of_their_family():
    assert model_config_from_hf(without(GEMMA, "sliding_window_pattern")).tied
    assert not model_config_from_hf(without(LLAMA, "tie_word_embeddings")).tied
    assert model_config_from_hf(without(QWEN, "head_dim")).head_size == 128
    assert model_config_from_hf(without(LLAMA, "head_dim")).head_size == 64
    assert model_config_from_hf(without(LLAMA, "num_key_value_heads")).kv_heads == 32
    assert model_config_from_hf(without(GEMMA, "rope_theta")).rope_theta == 1_000_000.0


def test_a_bias_of_attention_is_on_all_its_four_products_but_in_qwen2():
    shape = model_config_from_hf({**LLAMA, "attention_bias": True})
    assert (shape.qkv_bias, shape.out_bias) == (True, True)
    shape = model_config_from_hf({**PUBLISHED["Qwen2.5-0.5B"][0], "attention_bias": False})
    assert (shape.qkv_bias, shape.out_bias) == (True, False)


@pytest.mark.parametrize(
    ("config", "changes", "message"),
    [
        (LLAMA, {"model_type": "mamba"}, "model_type 'mamba' is not supported.*llama, qwen2"),
        (LLAMA, {"model_type": None}, "model_type None is not supported"),
        (GEMMA, {"model_type": "gemma3"}, "only the text models"),
        (LLAMA, {"mlp_bias": True}, "mlp_bias=True is not supported"),
        (LLAMA, {"quantization_config": {"bits": 4}}, "quantization_config"),
        (GEMMA, {"use_bidirectional_attention": True}, "use_bidirectional_attention"),
        (LLAMA, {"hidden_act": "relu"}, "hidden_act='relu' is not supported; known are silu"),
        (LLAMA, {"rope_scaling": {"rope_type": "yarn", "factor": 4}}, "rope_type 'yarn' is not supported"),
        (LLAMA, {"rope_scaling": {"rope_type": "llama3", "factor": 4}}, "lacks low_freq_factor"),
        (LLAMA, {"rope_parameters": {"partial_rotary_factor": 0.5}}, "partial_rotary_factor"),
        (
            GEMMA,
            {"rope_parameters": {"sliding_attention": {"rope_type": "linear", "factor": 2.0}}},
            "sliding layers",
        ),
        (QWEN, {"layer_types": ["full_attention"] * 3}, "for each of 28 layers"),
        (QWEN, {"use_sliding_window": True, "sliding_window": 64, "max_window_layers": 20}, "each multiple"),
        (QWEN, {"layer_types": ["sliding_attention"] * 28}, "sliding_window is missing"),
        (LLAMA, {"hidden_size": "2048"}, "hidden_size must be a whole number above 0, not '2048'"),
        (LLAMA, {"intermediate_size": None}, "intermediate_size is missing"),
        (LLAMA, {"num_key_value_heads": 7}, "multiple of kv_heads"),
        (GEMMA, {"query_pre_attn_scalar": 0}, "query_pre_attn_scalar must be above 0"),
    ],
)
def test_what_our_model_lacks_is_refused_by_name(config, changes, message):
    with pytest.raises(ConfigError, match=message):
        model_config_from_hf({**config, **changes})
