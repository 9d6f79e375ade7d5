"""Compiled programs kept on disk, so that a second start of the same recipe begins at once."""

from pathlib import Path

import jax


def use_cache(root: Path | None) -> None:
    """Keep every compiled program in ``root/xla``, however fast it compiled; None leaves all as it is."""
    if root is None:
        return
    directory = root / "xla"
    directory.mkdir(parents=True, exist_ok=True)
    settings = {
        "jax_compilation_cache_dir": str(directory),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    for name, value in settings.items():
        jax.config.update(name, value)  # type: ignore[no-untyped-call]  # JAX leaves it untyped
