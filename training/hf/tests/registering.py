"""Base models out of folders that tests wrote. Needs neither JAX nor numpy."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from training.bases import RECORD_NAME, BaseRecord, FileFacts, content_hash, reference


def write_record(folder: Path, **facts: Any) -> BaseRecord:
    """Write the record of a model's folder; fields that are not given are those of its files, or made up."""
    files = {
        path.name: FileFacts(size=path.stat().st_size, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
        for path in folder.iterdir()
        if path.name != RECORD_NAME
    }
    told = {
        "name": "tiny",
        "source": "someone/tiny",
        "family": json.loads((folder / "config.json").read_text())["model_type"],
        "parameters": 1,
        "dtype": "F32",
        "files": files,
        "content_hash": content_hash(files),
        "imported_at": 0.0,
    }
    record = BaseRecord.model_validate(told | facts)
    (folder / RECORD_NAME).write_text(record.model_dump_json())
    return record


def register(draft: Path, root: Path, **facts: Any) -> str:
    """Move a model's folder to its place among the base models of a root. Returns what recipes call it."""
    record = write_record(draft, **facts)
    place = root / record.content_hash
    if place.exists():
        shutil.rmtree(draft)
    else:
        root.mkdir(parents=True, exist_ok=True)
        draft.rename(place)
    return reference(record.name, record.content_hash)
