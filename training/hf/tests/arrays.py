"""The committed fixtures as arrays, and folders and bases made of them."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from training.bases import BaseRecord, FileFacts, content_hash, reference
from training.hf.tests.folders import FAMILIES, FIXTURES, Stored, fixture_config, write_tensors

__all__ = ["FAMILIES", "fixture_config"]

NAMES = {"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16"}


def arrays_of(family: str) -> dict[str, Any]:
    """Everything in a fixture: its tensors, `input_ids` and `logits`."""
    with np.load(FIXTURES / f"{family}.npz") as stored:
        return dict(stored)


def tensors_of(family: str) -> dict[str, Any]:
    """The tensors of a fixture by their own names, fp32."""
    arrays = arrays_of(family)
    return {name: arrays[name] for name in arrays if name not in ("input_ids", "logits")}


def write_sharded(folder: Path, tensors: Mapping[str, Any], shards: int) -> None:
    """Write arrays to `shards` files in turn, with an index; one shard is a single file without one."""
    folder.mkdir(parents=True, exist_ok=True)
    stored = {
        name: Stored(NAMES[array.dtype.name], array.shape, array.tobytes()) for name, array in tensors.items()
    }
    write_tensors(folder, stored, shards=shards)


def write_model(folder: Path, family: str, *, dtype: str = "float32", shards: int = 1) -> dict[str, Any]:
    """Write a fixture as the folder of a model: its config and its weights. Returns the arrays written."""
    import ml_dtypes

    kind = np.dtype(ml_dtypes.bfloat16) if dtype == "bfloat16" else np.dtype(dtype)
    tensors = {name: tensor.astype(kind) for name, tensor in tensors_of(family).items()}
    write_sharded(folder, tensors, shards)
    (folder / "config.json").write_text(json.dumps(fixture_config(family) | {"dtype": dtype}))
    return tensors


def write_base(
    root: Path,
    family: str,
    *,
    dtype: str = "bfloat16",
    shards: int = 1,
    files: Mapping[str, str] | None = None,
) -> str:
    """Write a fixture as a base model below `root`, with further text files. Returns what recipes call it."""
    draft = root / "draft"
    write_model(draft, family, dtype=dtype, shards=shards)
    for name, text in (files or {}).items():
        (draft / name).write_text(text)
    facts = {
        path.name: FileFacts(size=path.stat().st_size, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
        for path in draft.iterdir()
    }
    record = BaseRecord(
        name=f"tiny-{family}",
        source=f"someone/tiny-{family}",
        revision="0123456789abcdef",
        family=fixture_config(family)["model_type"],
        parameters=sum(tensor.size for tensor in tensors_of(family).values()),
        dtype=NAMES[dtype],
        licence="apache-2.0",
        files=facts,
        content_hash=content_hash(facts),
        imported_at=0.0,
    )
    (draft / "tunix_model.json").write_text(record.model_dump_json())
    draft.rename(root / record.content_hash)
    return reference(record.name, record.content_hash)
