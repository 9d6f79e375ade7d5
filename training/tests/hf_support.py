"""Folders with weights for tests, made from the committed fixtures or from random numbers."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

FOLDER = Path(__file__).parent / "fixtures" / "hf"
FAMILIES = ("llama", "qwen2", "qwen3", "gemma3")


def config_of(family):
    """The config.json of a fixture."""
    return json.loads((FOLDER / f"{family}.json").read_text())["config"]


def arrays_of(family):
    """Everything in a fixture: its tensors, `input_ids` and `logits`."""
    with np.load(FOLDER / f"{family}.npz") as stored:
        return dict(stored)


def tensors_of(family):
    """The tensors of a fixture by their own names, fp32."""
    arrays = arrays_of(family)
    return {name: arrays[name] for name in arrays if name not in ("input_ids", "logits")}


def write_sharded(folder, tensors, shards):
    """Write tensors to `shards` files in turn, with an index; one shard is a single file without one."""
    folder.mkdir(parents=True, exist_ok=True)
    if shards == 1:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return
    where = {}
    for shard in range(shards):
        name = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
        own = dict(list(tensors.items())[shard::shards])
        save_file(own, folder / name, metadata={"format": "pt"})
        where |= dict.fromkeys(own, name)
    size = sum(tensor.nbytes for tensor in tensors.values())
    index = {"metadata": {"total_size": size}, "weight_map": where}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def write_model(folder, family, *, dtype="float32", shards=1):
    """Write a fixture as the folder of a model: its config and its weights. Returns the tensors written."""
    import ml_dtypes

    kind = np.dtype(ml_dtypes.bfloat16) if dtype == "bfloat16" else np.dtype(dtype)
    tensors = {name: tensor.astype(kind) for name, tensor in tensors_of(family).items()}
    write_sharded(folder, tensors, shards)
    (folder / "config.json").write_text(json.dumps(config_of(family) | {"dtype": dtype}))
    return tensors
