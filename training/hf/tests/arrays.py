"""The committed fixtures as arrays, and folders and bases made of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from training.hf.tests.folders import FAMILIES, FIXTURES, Stored, fixture_config, model_folder
from training.hf.tests.registering import register

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


def write_model(
    folder: Path,
    family: str,
    *,
    dtype: str = "float32",
    shards: int = 1,
    tensors: Mapping[str, Any] | None = None,
    files: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Write a model folder from arrays: those of a fixture, rounded, or those given as they are.

    Returns the arrays written.
    """
    import ml_dtypes

    kind = np.dtype(ml_dtypes.bfloat16) if dtype == "bfloat16" else np.dtype(dtype)
    written = (
        {name: array.astype(kind) for name, array in tensors_of(family).items()}
        if tensors is None
        else dict(tensors)
    )
    stored = {
        name: Stored(NAMES[array.dtype.name], array.shape, array.tobytes()) for name, array in written.items()
    }
    model_folder(folder, family, shards=shards, config={"dtype": dtype}, tensors=stored, files=files)
    return written


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
    write_model(draft, family, dtype=dtype, shards=shards, files=files)
    return register(
        draft,
        root,
        name=f"tiny-{family}",
        source=f"someone/tiny-{family}",
        revision="0123456789abcdef",
        parameters=sum(tensor.size for tensor in tensors_of(family).values()),
        dtype=NAMES[dtype],
        licence="apache-2.0",
    )
