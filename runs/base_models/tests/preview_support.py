"""A base model that can write traces but has no weights: what the preview needs. Needs no JAX."""

from pathlib import Path
from typing import Any

from training import bases
from training.hf.tests.folders import fixture_config
from training.hf.tests.support import write_model


def base_model(
    name: str = "tiny-chat", shape: str = "qwen3", *, imported_at: float = 1.0, **files: Any
) -> bases.Base:
    """Lay down a base model under the root of this test, and read it."""
    content_hash = f"{len(list(_root().glob('*'))) + 1:064x}"[::-1]
    folder = _root() / content_hash
    config = fixture_config("qwen3") | {"vocab_size": 700}
    write_model(folder, shape, config__json=config, **files)
    record = bases.BaseRecord(
        name=name,
        source=name,
        family="qwen3",
        parameters=1,
        dtype="float32",
        files={},
        content_hash=content_hash,
        imported_at=imported_at,
    )
    (folder / bases.RECORD_NAME).write_text(record.model_dump_json())
    return bases.read_base(folder)


def _root() -> Path:
    bases.root().mkdir(parents=True, exist_ok=True)
    return bases.root()
