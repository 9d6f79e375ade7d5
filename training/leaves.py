"""The arrays in a tree by dotted names."""

from typing import Any

import jax


def named_leaves(tree: Any) -> dict[str, Any]:
    """Flatten a tree of arrays into dotted names, such as ``blocks.0.attention.q.kernel``."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    names = [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in leaves]
    return {name.removesuffix(".value"): leaf for name, (_, leaf) in zip(names, leaves, strict=True)}
