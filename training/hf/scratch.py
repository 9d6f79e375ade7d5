"""What a model from scratch needs to be opened elsewhere: config and tokenizer. Imports no JAX."""

import json
from collections.abc import Mapping
from typing import Any, Final

from training.errors import ExportError
from training.model_config import ModelConfig
from training.tokenizer import TOKENIZER

PAD_TEXT: Final = "<|pad|>"
END_TEXT: Final = "<|end|>"
# Fields of a shape that the llama family has no word for, with the value that means nothing.
_WITHOUT_WORD: Final[Mapping[str, Any]] = {
    "qk_norm": False,
    "post_norms": False,
    "unit_offset": False,
    "embedding_scale": False,
    "attention_scale": None,
    "attention_soft_cap": None,
    "final_soft_cap": None,
    "window": None,
    "activation": "silu",
}


def llama_config(shape: ModelConfig, *, context_length: int) -> dict[str, Any]:
    """Describe a shape as the ``config.json`` of the llama family.

    Raises:
        ExportError: for a feature that the family lacks.
    """
    for name, nothing in _WITHOUT_WORD.items():
        if getattr(shape, name) != nothing:
            raise ExportError(f"The llama family has no {name}, so this model cannot be exported as one.")
    if shape.qkv_bias != shape.out_bias:
        raise ExportError("In the llama family all four projections of attention have a bias, or none.")
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": shape.width,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_size,
        "intermediate_size": shape.mlp_width,
        "vocab_size": shape.vocab_size,
        "tie_word_embeddings": shape.tied,
        "rms_norm_eps": shape.norm_epsilon,
        "hidden_act": "silu",
        "attention_bias": shape.out_bias,
        "mlp_bias": False,
        "attention_dropout": 0.0,
        "max_position_embeddings": context_length,
        "rope_theta": shape.rope_theta,
        "rope_scaling": _scaling(shape),
        "bos_token_id": None,
        "eos_token_id": TOKENIZER.eos,
        "pad_token_id": TOKENIZER.pad,
        "initializer_range": 0.02,
        "use_cache": True,
        "torch_dtype": "float32",
    }


def _scaling(shape: ModelConfig) -> dict[str, Any] | None:
    scaling = shape.rope_scaling
    if scaling is None:
        return None
    if scaling.kind == "linear":
        return {"rope_type": "linear", "factor": scaling.factor}
    return {
        "rope_type": "llama3",
        "factor": scaling.factor,
        "low_freq_factor": scaling.low_frequency,
        "high_freq_factor": scaling.high_frequency,
        "original_max_position_embeddings": scaling.original_length,
    }


def generation_config() -> dict[str, Any]:
    """Describe how it writes: the likeliest byte each time, until its end."""
    return {"do_sample": False, "eos_token_id": TOKENIZER.eos, "pad_token_id": TOKENIZER.pad}


def tokenizer_files(*, context_length: int) -> dict[str, str]:
    """Write our bytes as a ``tokenizer.json`` and what transformers wants beside it, by file name.

    Byte-level BPE without merges: each byte of the UTF-8 text is one of 256 letters, whose id is the byte.
    Pad and end stand in the vocabulary behind them, where no text can reach them; transformers, which
    would otherwise find them in texts, is told not to look.
    """
    vocabulary = {letter: byte for byte, letter in enumerate(byte_letters())}
    vocabulary |= {PAD_TEXT: TOKENIZER.pad, END_TEXT: TOKENIZER.eos}
    tokenizer: dict[str, Any] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "ByteLevel",
            "add_prefix_space": False,
            "trim_offsets": False,
            "use_regex": False,
        },
        "post_processor": None,
        "decoder": {
            "type": "ByteLevel",
            "add_prefix_space": False,
            "trim_offsets": False,
            "use_regex": False,
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": vocabulary,
            "merges": [],
        },
    }
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": PAD_TEXT,
        "eos_token": END_TEXT,
        "bos_token": None,
        "unk_token": None,
        "add_bos_token": False,
        "add_eos_token": False,
        "split_special_tokens": True,
        "clean_up_tokenization_spaces": False,
        "model_max_length": context_length,
    }
    return {
        "tokenizer.json": json.dumps(tokenizer, ensure_ascii=False, indent=1) + "\n",
        "tokenizer_config.json": json.dumps(config, indent=2) + "\n",
    }


def byte_letters() -> list[str]:
    """Return the letter that byte-level BPE writes for each byte: itself where it can be seen in Latin-1.

    The others take the letters from U+0100 on, in order (Radford et al. 2019, GPT-2).
    """
    visible = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return [chr(byte) if byte in visible else chr(next(others)) for byte in range(256)]
