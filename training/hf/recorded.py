"""A base model's folder, held against the record of its import before it is used. Imports no JAX."""

import hashlib
from functools import lru_cache
from pathlib import Path

from training.bases import RECORD_NAME, BaseRecord, FileFacts
from training.errors import ConfigError
from training.hf.files import FolderFacts, check_tied, inspect_folder
from training.model_config import ModelConfig


def inspect_model(folder: Path, shape: ModelConfig) -> FolderFacts:
    """Look at a folder that is to hold a model of this shape, and at its record where it has one.

    Raises:
        ConfigError: as `training.hf.files.inspect_folder` and `check_tied`; for a model of another shape;
            for a file that is missing, has other bytes than recorded, or is not in the record.
    """
    recorded = _recorded(folder)
    # First, for a file that was cut off since its import is better told so than as damaged.
    _check_files(folder, recorded or {})
    facts = inspect_folder(folder)
    if facts.shape != shape:
        told, asked = facts.shape.model_dump(), shape.model_dump()
        differ = [f"{name} is {told[name]}, not {asked[name]}" for name in told if told[name] != asked[name]]
        raise ConfigError(
            f"{folder / 'config.json'} is not of the model that is asked for: {'; '.join(differ)}."
        )
    for path in sorted({place.path for place in (*facts.places.values(), *facts.spare.values())}):
        if recorded is not None and path.name not in recorded:
            raise ConfigError(
                f"{path} is not in the record of its model: it was added later. Import the model anew."
            )
    check_tied(facts)
    return facts


def _recorded(folder: Path) -> dict[str, FileFacts] | None:
    path = folder / RECORD_NAME
    if not path.is_file():
        return None
    try:
        return BaseRecord.model_validate_json(path.read_bytes()).files
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read ({error}). Import the model anew.") from error


def _check_files(folder: Path, recorded: dict[str, FileFacts]) -> None:
    """Hold every file against what it was when it was imported, sizes first, which costs nothing."""
    paths = {folder / name: facts for name, facts in sorted(recorded.items())}
    for path, facts in paths.items():
        size = path.stat().st_size if path.is_file() else None
        if size != facts.size:
            found = "is missing" if size is None else f"has {size:,} bytes"
            raise ConfigError(
                f"{path} {found}; it had {facts.size:,} bytes when the model was imported. "
                "Import the model anew."
            )
    for path, facts in paths.items():
        if _sha256(path) != facts.sha256:
            raise ConfigError(
                f"{path} has other content than when the model was imported, of the same size: it was "
                "changed or the disk is failing. Import the model anew."
            )


def _sha256(path: Path) -> str:
    told = path.stat()
    return _hash_of(path, (told.st_ino, told.st_size, told.st_mtime_ns))


@lru_cache(maxsize=256)
def _hash_of(path: Path, identity: tuple[int, ...]) -> str:  # noqa: ARG001 (a changed file is read anew)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
