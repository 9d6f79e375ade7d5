"""One hash for a tree of arrays, equal exactly when the arrays are."""

import hashlib
import json
from typing import Any

import jax
import numpy as np

from training.assembly import named_leaves


def params_hash(tree: Any) -> str:
    """Return the SHA-256 over sorted names, shapes, types and bytes (little-endian) of all leaves."""
    digest = hashlib.sha256()
    for name, leaf in sorted(named_leaves(tree).items()):
        array = np.ascontiguousarray(jax.device_get(leaf))
        head = json.dumps([name, list(array.shape), str(array.dtype)])
        digest.update(f"{len(head)}:{head}".encode())
        digest.update(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
    return digest.hexdigest()
