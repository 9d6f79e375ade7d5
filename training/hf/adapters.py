"""Adapters in the form of PEFT: written and read back. Imports no JAX.

PEFT's matrices are ours, transposed: ``lora_A.weight`` is (rank, inputs), ``lora_B.weight`` (outputs, rank);
what is added is multiplied by ``lora_alpha / r`` in both.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from training.errors import ConfigError, ExportError
from training.hf.headers import read_header
from training.hf.names import Tensor, tensors_of
from training.hf.outgoing import adapter_of
from training.hf.reading import read_place
from training.hf.writing import Stored, write_file
from training.model_config import ModelConfig

WEIGHTS_NAME: Final = "adapter_model.safetensors"
CONFIG_NAME: Final = "adapter_config.json"
_PREFIX: Final = "base_model.model."
# What changes the meaning of the two matrices in a way that ours cannot, unless it has this value.
_UNSUPPORTED: Final[dict[str, Any]] = {
    "bias": "none",
    "use_rslora": False,
    "use_dora": False,
    "fan_in_fan_out": False,
    "rank_pattern": {},
    "alpha_pattern": {},
    "modules_to_save": None,
    "layer_replication": None,
    "lora_bias": False,
}


@dataclass(frozen=True, slots=True)
class AdapterFacts:
    """What an adapter is beside its numbers; ``base`` and ``revision`` say what it goes with."""

    rank: int
    alpha: float
    dropout: float = 0.0
    base: str = ""
    revision: str = ""


class _Config(BaseModel):
    model_config = ConfigDict(extra="ignore")

    r: Annotated[int, Field(ge=1)]
    lora_alpha: Annotated[float, Field(gt=0)]
    lora_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    base_model_name_or_path: str | None = None
    revision: str | None = None


def write_adapter(
    folder: Path, leaves: Mapping[str, Any], shape: ModelConfig, facts: AdapterFacts
) -> list[str]:
    """Write the adapters that lie beside a model's kernels, in fp32. Returns the names of the files.

    Raises:
        ExportError: when there are none, or one has another rank than the facts say.
        OSError: when the disk refuses.
    """
    parts: dict[str, np.ndarray] = {}
    modules: list[tuple[str, int | None]] = []
    for tensor in tensors_of(shape):
        found = adapter_of(leaves, tensor)
        if found is None:
            continue
        a, b = found
        if a.shape[-1] != facts.rank or (b.shape[1], a.shape[0]) != tensor.shape:
            raise ExportError(
                f"The adapter of {tensor.ours} has shapes {a.shape} and {b.shape}, which is not of rank "
                f"{facts.rank} beside a kernel of {tensor.shape[::-1]}."
            )
        module = tensor.theirs.removesuffix(".weight")
        modules.append((module, tensor.layer))
        parts |= {_name(module, "A"): a.T, _name(module, "B"): b.T}
    if not parts:
        raise ExportError("The checkpoint has no adapters: export it with --format hf.")
    stored = [Stored(name, "F32", array.shape) for name, array in parts.items()]
    write_file(folder / WEIGHTS_NAME, stored, lambda one: parts[one.name])
    told = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": facts.base or None,
        "revision": facts.revision or None,
        "r": facts.rank,
        "lora_alpha": int(facts.alpha) if float(facts.alpha).is_integer() else facts.alpha,
        "lora_dropout": facts.dropout,
        "target_modules": _targets(modules, shape),
        "inference_mode": True,
        "init_lora_weights": True,
        "layers_to_transform": None,
        **_UNSUPPORTED,
    }
    (folder / CONFIG_NAME).write_text(json.dumps(told, indent=2) + "\n", "utf-8")
    return [WEIGHTS_NAME, CONFIG_NAME]


def read_adapter(folder: Path, shape: ModelConfig) -> tuple[AdapterFacts, dict[str, np.ndarray]]:
    """Read an adapter of a model of this shape. Returns its facts and its matrices by our names.

    Raises:
        ConfigError: when a file is missing or damaged, when the adapter does what ours cannot, and naming
            matrices that have another shape, that nothing uses, or whose other half is missing.
    """
    facts = _read_facts(folder)
    wanted = {tensor.theirs.removesuffix(".weight"): tensor for tensor in tensors_of(shape)}
    found: dict[str, np.ndarray] = {}
    for place in read_header(folder / WEIGHTS_NAME).values():
        module, part = _split(place.name)
        tensor = wanted.get(module)
        if tensor is None or not tensor.transposed or not part:
            raise ConfigError(f"{folder / WEIGHTS_NAME}: {place.name} goes with no projection of this model.")
        expected = _shape(tensor, part, facts.rank)
        if place.shape != expected:
            raise ConfigError(f"{place.name} has shape {place.shape}; beside this model it is {expected}.")
        name = f"{tensor.ours.removesuffix('.kernel')}.lora_{part.lower()}"
        found[name] = np.ascontiguousarray(read_place(place).astype(np.float32).T)
    for name in found:
        other = name[:-1] + ("b" if name.endswith("a") else "a")
        if other not in found:
            raise ConfigError(f"{folder / WEIGHTS_NAME}: {name} is there without {other}.")
    if not found:
        raise ConfigError(f"{folder / WEIGHTS_NAME} holds no adapters.")
    return facts, found


def _read_facts(folder: Path) -> AdapterFacts:
    path = folder / CONFIG_NAME
    try:
        told = json.loads(path.read_bytes())
        config = _Config.model_validate(told)
    except (OSError, ValidationError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.") from error
    if told.get("peft_type") != "LORA":
        raise ConfigError(f"{path}: peft_type {told.get('peft_type')!r} is not supported; known is LORA.")
    for key, needed in _UNSUPPORTED.items():
        value = told.get(key)
        if value and value != needed:
            raise ConfigError(f"{path}: {key}={value!r} is not supported.")
    return AdapterFacts(
        rank=config.r,
        alpha=config.lora_alpha,
        dropout=config.lora_dropout,
        base=config.base_model_name_or_path or "",
        revision=config.revision or "",
    )


def _name(module: str, part: str) -> str:
    return f"{_PREFIX}{module}.lora_{part}.weight"


def _split(name: str) -> tuple[str, str]:
    """Return the module and ``A`` or ``B``, both empty for a name of another form."""
    for part in "AB":
        if name.startswith(_PREFIX) and name.endswith(f".lora_{part}.weight"):
            return name[len(_PREFIX) :].removesuffix(f".lora_{part}.weight"), part
    return "", ""


def _shape(tensor: Tensor, part: str, rank: int) -> tuple[int, int]:
    outputs, inputs = tensor.shape
    return (rank, inputs) if part == "A" else (outputs, rank)


def _targets(modules: list[tuple[str, int | None]], shape: ModelConfig) -> list[str]:
    """Name the modules as PEFT looks for them: by their last word where all layers have it, else in full."""
    words = {module.rpartition(".")[2] for module, _ in modules}
    full = []
    for word in sorted(words):
        own = [(module, layer) for module, layer in modules if module.rpartition(".")[2] == word]
        complete = len(own) == shape.layers or own[0][1] is None
        full.extend([word] if complete else sorted(module for module, _ in own))
    return full
