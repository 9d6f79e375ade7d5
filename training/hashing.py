"""Hashes of arrays, equal exactly when the arrays are."""

import hashlib
import json
from typing import Any

import jax
import numpy as np

from training.leaves import named_leaves


def params_hash(tree: Any) -> str:
    """Return the SHA-256 over sorted names, shapes, types and bytes (little-endian) of all leaves."""
    digest = hashlib.sha256()
    for name, leaf in sorted(named_leaves(tree).items()):
        array = _little_endian(leaf)
        head = json.dumps([name, list(array.shape), str(array.dtype)])
        digest.update(f"{len(head)}:{head}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def leaf_hashes(tree: Any) -> dict[str, str]:
    """Return the SHA-256 over the bytes (little-endian) of each leaf, by name."""
    return {
        name: hashlib.sha256(_little_endian(leaf).reshape(-1).view(np.uint8)).hexdigest()
        for name, leaf in named_leaves(tree).items()
    }


def _little_endian(leaf: Any) -> np.ndarray[Any, Any]:
    array = np.ascontiguousarray(jax.device_get(leaf))
    return array.astype(array.dtype.newbyteorder("<"), copy=False)
