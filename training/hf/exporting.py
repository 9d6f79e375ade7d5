"""From the parameters of a checkpoint to a folder that other programs open. Imports no JAX."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from training.bases import RECORD_NAME, Base, find_base, is_base
from training.config import TrainConfig
from training.errors import ExportError
from training.hf import adapters
from training.hf.choosing import INDEX
from training.hf.formats import MAX_SHARD_BYTES, Format, require_possible
from training.hf.headers import Place
from training.hf.names import Tensor, tensors_of
from training.hf.outgoing import adapter_of, outgoing
from training.hf.reading import read_place
from training.hf.recorded import inspect_model
from training.hf.scratch import generation_config, llama_config, tokenizer_files
from training.hf.target import MARK, README_NAME, new_folder
from training.hf.writing import Stored, write_weights
from training.model_config import ModelConfig, preset

# What a base's folder has that an export writes anew, or that means only that folder.
_NOT_COPIED: Final = (README_NAME, RECORD_NAME, INDEX)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be written where: ``card`` is the text of the README."""

    format: Format
    target: Path
    card: str
    overwrite: bool = False
    max_shard_bytes: int = MAX_SHARD_BYTES


type Fetch = Callable[[Stored], np.ndarray]
type Change = Callable[[np.ndarray], np.ndarray]
# Tells how many tensors are written, of how many.
type Tell = Callable[[int, int], None]


def write_export(
    asked: Asked,
    config: TrainConfig,
    leaves: Mapping[str, Any],
    *,
    tell: Tell | None = None,
    quantized: Change | None = None,
) -> list[str]:
    """Write a model, or its adapter, as a folder. ``leaves`` are what was trained of it, by our names.

    A base's tensors keep the types that they are stored in, its other files are copied; a model from
    scratch goes out in fp32. ``quantized`` gives what a projection (inputs, outputs) was while adapters were
    trained beside it, where that is not what the base's files hold. Returns the names of the files.

    Raises:
        ExportError: when the model or the target does not allow it, or the disk has no room.
        ConfigError: when the base is not here, or its files are not as they were.
    """
    require_possible(config, asked.format)
    base = find_base(config.model) if is_base(config.model) else None
    shape = base.shape if base else preset(config.model)
    if asked.format == "adapter" and base is not None:
        with new_folder(asked.target, overwrite=asked.overwrite) as folder:
            adapters.write_adapter(folder, leaves, shape, facts_of(config, base))
            return _finish(folder, asked)
    if base is not None:
        stored = inspect_model(base.folder, shape).places
        planned = [Stored(place.name, place.dtype, place.shape) for place in stored.values()]
    else:
        planned = [Stored(tensor.theirs, "F32", tensor.shape) for tensor in tensors_of(shape)]
        stored = {}
    extra = 0 if base is None else sum(path.stat().st_size for path in _copied(base))
    needed = sum(one.size for one in planned) + extra
    with new_folder(asked.target, overwrite=asked.overwrite, needed_bytes=needed) as folder:
        fetch = _fetcher(config, leaves, shape, stored, quantized)
        write_weights(folder, planned, _told(fetch, tell, planned), max_shard_bytes=asked.max_shard_bytes)
        if base is None:
            _write_own_files(folder, shape, config)
        else:
            for path in _copied(base):
                shutil.copyfile(path, folder / path.name)
        return _finish(folder, asked)


def facts_of(config: TrainConfig, base: Base) -> adapters.AdapterFacts:
    """Say what the adapter of a recipe is, and what it goes with where others can find that."""
    return adapters.AdapterFacts(
        rank=config.lora_rank,
        alpha=config.lora_alpha,
        dropout=config.lora_dropout,
        base=base.record.source if base.record.is_on_hub else "",
        revision=base.record.revision if base.record.is_on_hub else "",
    )


def _fetcher(
    config: TrainConfig,
    leaves: Mapping[str, Any],
    shape: ModelConfig,
    stored: Mapping[str, Place],
    quantized: Change | None,
) -> Fetch:
    wanted = {tensor.theirs: tensor for tensor in tensors_of(shape)}
    if config.method == "full":
        return outgoing(leaves, wanted)
    _require_adapters(leaves, wanted)

    def frozen(one: Stored) -> np.ndarray:
        array, tensor = read_place(stored[one.name]), wanted[one.name]
        if quantized is None or tensor.layer is None or not tensor.transposed:
            return array
        return quantized(array.astype(np.float32).T).T

    return outgoing(leaves, wanted, scale=config.lora_alpha / config.lora_rank, frozen=frozen)


def _require_adapters(leaves: Mapping[str, Any], wanted: Mapping[str, Tensor]) -> None:
    if not any(adapter_of(leaves, tensor) for tensor in wanted.values()):
        raise ExportError("The checkpoint of this run has no adapters to merge; it may be damaged.")


def _copied(base: Base) -> list[Path]:
    """List the base's own files that go with every model made of it: config, tokenizer, template, licence."""
    names = sorted(base.record.files)
    kept = (name for name in names if name not in _NOT_COPIED and not name.endswith(".safetensors"))
    return [base.folder / name for name in kept]


def _told(fetch: Fetch, tell: Tell | None, planned: list[Stored]) -> Fetch:
    if tell is None:
        return fetch
    done = 0

    def telling(one: Stored) -> np.ndarray:
        nonlocal done
        tell(done, len(planned))
        done += 1
        return fetch(one)

    return telling


def _write_own_files(folder: Path, shape: ModelConfig, config: TrainConfig) -> None:
    length = config.sequence_length
    texts = {
        "config.json": json.dumps(llama_config(shape, context_length=length), indent=2) + "\n",
        "generation_config.json": json.dumps(generation_config(), indent=2) + "\n",
        **tokenizer_files(context_length=length),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, "utf-8")


def _finish(folder: Path, asked: Asked) -> list[str]:
    (folder / README_NAME).write_text(f"{asked.card.rstrip()}\n\n{MARK}\n", "utf-8")
    return sorted(path.name for path in folder.iterdir())
