"""What the ``config.json`` of published models says about their shape, for tests that need no weights."""

from typing import Any, Final

_QWEN3: Final = {
    "model_type": "qwen3",
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "num_hidden_layers": 28,
    "head_dim": 128,
    "vocab_size": 151936,
    "rope_theta": 1_000_000,
    "rms_norm_eps": 1e-6,
    "use_sliding_window": False,
    "max_window_layers": 28,
    "tie_word_embeddings": True,
}
_GEMMA3: Final = {
    "model_type": "gemma3_text",
    "num_attention_heads": 4,
    "num_key_value_heads": 1,
    "head_dim": 256,
    "vocab_size": 262144,
    "sliding_window": 512,
    "sliding_window_pattern": 6,
    "query_pre_attn_scalar": 256,
    "rope_theta": 1_000_000.0,
    "rope_local_base_freq": 10_000.0,
    "hidden_activation": "gelu_pytorch_tanh",
    "rms_norm_eps": 1e-6,
}
_SMOLLM2: Final = {
    "model_type": "llama",
    "vocab_size": 49152,
    "rope_theta": 100_000,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": True,
}

# Each with its exact number of parameters.
PUBLISHED: Final[dict[str, tuple[int, dict[str, Any]]]] = {
    "Qwen3-0.6B": (596_049_920, {**_QWEN3, "hidden_size": 1024, "intermediate_size": 3072}),
    "Qwen3-1.7B": (1_720_574_976, {**_QWEN3, "hidden_size": 2048, "intermediate_size": 6144}),
    "Qwen2.5-0.5B": (
        494_032_768,
        {
            "model_type": "qwen2",
            "hidden_size": 896,
            "intermediate_size": 4864,
            "num_attention_heads": 14,
            "num_key_value_heads": 2,
            "num_hidden_layers": 24,
            "vocab_size": 151936,
            "rope_theta": 1_000_000.0,
            "rms_norm_eps": 1e-6,
            "use_sliding_window": False,
            "tie_word_embeddings": True,
        },
    ),
    "Llama-3.2-1B": (
        1_235_814_400,
        {
            "model_type": "llama",
            "hidden_size": 2048,
            "intermediate_size": 8192,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "num_hidden_layers": 16,
            "head_dim": 64,
            "vocab_size": 128256,
            "rope_theta": 500_000.0,
            "rope_scaling": {
                "rope_type": "llama3",
                "factor": 32.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 8192,
            },
            "rms_norm_eps": 1e-5,
            "tie_word_embeddings": True,
        },
    ),
    "Gemma-3-270m": (
        268_098_176,
        {**_GEMMA3, "hidden_size": 640, "intermediate_size": 2048, "num_hidden_layers": 18},
    ),
    "Gemma-3-1b": (
        999_885_952,
        {**_GEMMA3, "hidden_size": 1152, "intermediate_size": 6912, "num_hidden_layers": 26},
    ),
    "SmolLM2-135M": (
        134_515_008,
        {
            **_SMOLLM2,
            "hidden_size": 576,
            "intermediate_size": 1536,
            "num_attention_heads": 9,
            "num_key_value_heads": 3,
            "num_hidden_layers": 30,
        },
    ),
    "SmolLM2-360M": (
        361_821_120,
        {
            **_SMOLLM2,
            "hidden_size": 960,
            "intermediate_size": 2560,
            "num_attention_heads": 15,
            "num_key_value_heads": 5,
            "num_hidden_layers": 32,
        },
    ),
    "TinyLlama-1.1B": (
        1_100_048_384,
        {
            "model_type": "llama",
            "hidden_size": 2048,
            "intermediate_size": 5632,
            "num_attention_heads": 32,
            "num_key_value_heads": 4,
            "num_hidden_layers": 22,
            "vocab_size": 32000,
            "rope_theta": 10_000.0,
            "rms_norm_eps": 1e-5,
            "tie_word_embeddings": False,
        },
    ),
}
