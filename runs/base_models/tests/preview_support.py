"""A base model that can write traces but has no weights: what the preview needs. Needs no JAX."""

from pathlib import Path
from typing import Any

from training import bases
from training.hf.tests.folders import fixture_config
from training.hf.tests.registering import register
from training.hf.tests.support import write_model


def base_model(
    name: str = "tiny-chat", shape: str = "qwen3", *, imported_at: float = 1.0, **files: Any
) -> bases.Base:
    """Lay down a base model under the root of this test, and read it."""
    content_hash = f"{len(list(_root().glob('*'))) + 1:064x}"[::-1]
    draft = _root() / "draft"
    config = fixture_config("qwen3") | {"vocab_size": 700}
    write_model(draft, shape, config__json=config, **files)
    # Without weights: two of them may have the same files.
    register(draft, _root(), name=name, source=name, content_hash=content_hash, imported_at=imported_at)
    return bases.read_base(_root() / content_hash)


def _root() -> Path:
    bases.root().mkdir(parents=True, exist_ok=True)
    return bases.root()
