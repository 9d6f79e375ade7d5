"""Write tiny random models of four families, with the logits that transformers computes for them.

They are the oracle of ``training/tests/test_hf_parity.py``, which needs only what this script
wrote. It runs by hand, in a Python 3.11 environment of its own, from the repository's root:

    python3.11 -m venv .venv-parity
    .venv-parity/bin/pip install 'torch==2.*' 'transformers==5.*' numpy
    .venv-parity/bin/python scripts/parity_fixtures.py

For each family it writes ``<family>.json`` (the model's config.json and the versions used) and
``<family>.npz`` (every tensor under its own name, ``input_ids`` and ``logits``, all fp32).
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

FOLDER = Path(__file__).resolve().parent.parent / "training" / "tests" / "fixtures" / "hf"
COMMON = {
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "vocab_size": 80,
    "max_position_embeddings": 128,
    "attn_implementation": "eager",
    "dtype": "float32",
}
# Sequences of 48: four times the window of gemma3, three times the length that llama's scaling counts from.
LENGTH = 48
FAMILIES: dict[str, tuple[type, type, dict[str, Any]]] = {
    "llama": (
        transformers.LlamaConfig,
        transformers.LlamaForCausalLM,
        {
            "hidden_size": 32,
            "num_hidden_layers": 3,
            "tie_word_embeddings": False,
            "rope_parameters": {
                "rope_type": "llama3",
                "rope_theta": 10_000.0,
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 16,
            },
        },
    ),
    "qwen2": (
        transformers.Qwen2Config,
        transformers.Qwen2ForCausalLM,
        {"hidden_size": 32, "num_hidden_layers": 3, "tie_word_embeddings": True},
    ),
    "qwen3": (
        transformers.Qwen3Config,
        transformers.Qwen3ForCausalLM,
        {"hidden_size": 32, "num_hidden_layers": 3, "head_dim": 16, "tie_word_embeddings": True},
    ),
    "gemma3": (
        transformers.Gemma3TextConfig,
        transformers.Gemma3ForCausalLM,
        {
            "hidden_size": 32,
            "num_hidden_layers": 6,
            "head_dim": 16,
            "num_key_value_heads": 1,
            "query_pre_attn_scalar": 24,
            "sliding_window": 12,
            "sliding_window_pattern": 3,
            "final_logit_softcapping": 3.0,
        },
    ),
}


def write(family: str) -> None:
    """Draw a model of the family, run it, and write both files."""
    config_type, model_type, own = FAMILIES[family]
    torch.manual_seed(0)
    config = config_type(**{**COMMON, **own})
    model = model_type(config).eval()
    randomise(model)
    tokens = torch.randint(0, config.vocab_size, (2, LENGTH))
    with torch.no_grad():
        logits = model(tokens).logits
    tensors = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    if config.tie_word_embeddings:
        del tensors["lm_head.weight"]  # files of tied models do not hold it
    np.savez_compressed(
        FOLDER / f"{family}.npz", input_ids=tokens.numpy().astype(np.int32), logits=logits.numpy(), **tensors
    )
    facts = {
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "config": config.to_dict(),
    }
    (FOLDER / f"{family}.json").write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n")


def randomise(model: torch.nn.Module) -> None:
    """Give each parameter values so large that leaving out any of them changes the logits."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.add_(0.3 * torch.randn_like(parameter))
            elif parameter.ndim == 1:
                parameter.copy_(0.5 * torch.randn_like(parameter))
            else:
                parameter.copy_(torch.randn_like(parameter) * 1.5 * parameter.shape[1] ** -0.5)
            # Numbers that bf16 holds are fp32 numbers that compress well.
            parameter.copy_(parameter.bfloat16().float())


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in FAMILIES:
        write(name)
