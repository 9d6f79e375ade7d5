"""Which files of a Hugging Face model are needed, by their names alone. Imports no JAX."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from training.errors import ConfigError

SINGLE: Final = "model.safetensors"
INDEX: Final = "model.safetensors.index.json"
COMPANIONS: Final = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
)
# Read for the licence, and not kept as they are.
CARD: Final = "README.md"
_LICENCE: Final = re.compile(r"licen[cs]e(\.(md|txt))?", re.IGNORECASE | re.ASCII)
_SHARD: Final = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")


@dataclass(frozen=True, slots=True)
class Chosen:
    """Names of files: the weights or the index of their shards, what lies beside them, and licences."""

    weights: str
    companions: tuple[str, ...]
    licences: tuple[str, ...]


def choose_files(names: Iterable[str]) -> Chosen:
    """Choose what is needed of the files of a model.

    Raises:
        ConfigError: when what is there cannot be used, saying what to get instead.
    """
    there = set(names)
    weights = next((name for name in (SINGLE, INDEX) if name in there), None)
    if "config.json" not in there or weights is None:
        raise ConfigError(_why_not(there))
    licences = sorted(name for name in there if _LICENCE.fullmatch(name))
    return Chosen(weights, tuple(name for name in COMPANIONS if name in there), tuple(licences))


def _why_not(there: set[str]) -> str:
    """Say why there is no model in files of these names, and what to do."""
    endings = {name.rpartition(".")[2].lower() for name in there if "." in name}
    shards = sorted(name for name in there if _SHARD.fullmatch(name))
    if "adapter_config.json" in there and "config.json" not in there:
        return "This is an adapter alone (adapter_config.json). Import the base model that it belongs to."
    if shards:
        return f"{INDEX} is missing beside {shards[0]}. Get that file too."
    if "safetensors" in endings and "config.json" in there:
        return f"There is no {SINGLE} and no {INDEX}; safetensors files of other names are not read."
    if endings & {"bin", "pt", "pth", "ckpt"}:
        return (
            "The weights are there only as pickles (.bin, .pt), which can run code when they are opened "
            f"and are never read here. Look for a revision with {SINGLE}, or write one elsewhere: "
            'AutoModelForCausalLM.from_pretrained("FOLDER").save_pretrained("NEW", safe_serialization=True).'
        )
    if "gguf" in endings:
        return (
            "The weights are there only as GGUF, which is quantised for inference. Import the model "
            "that it was made from, with its config.json and safetensors files."
        )
    if "config.json" not in there:
        return "config.json is missing: this is no folder of a Hugging Face model."
    return f"There are no weights: neither {SINGLE} nor {INDEX}. Get the whole model."
