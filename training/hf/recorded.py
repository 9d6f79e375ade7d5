"""A base model's folder, held against the record of its import before it is used. Imports no JAX."""

from pathlib import Path

from training.bases import RECORD_NAME, BaseRecord, FileFacts
from training.errors import ConfigError
from training.hf.files import FolderFacts, check_tied, inspect_folder
from training.model_config import ModelConfig


def inspect_model(folder: Path, shape: ModelConfig) -> FolderFacts:
    """Look at a folder that is to hold a model of this shape, and at its record where it has one.

    Raises:
        ConfigError: as `training.hf.files.inspect_folder` and `check_tied`; for a model of another shape;
            for a file of weights that is missing, of another size than recorded, or not in the record.
    """
    recorded = _recorded(folder)
    # First, for a file that was cut off since its import is better told so than as damaged.
    _check_sizes(folder, recorded or {})
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


def _check_sizes(folder: Path, recorded: dict[str, FileFacts]) -> None:
    for name, facts in sorted(recorded.items()):
        if not name.endswith(".safetensors"):
            continue
        path = folder / name
        size = path.stat().st_size if path.is_file() else None
        if size != facts.size:
            found = "is missing" if size is None else f"has {size:,} bytes"
            raise ConfigError(
                f"{path} {found}; it had {facts.size:,} bytes when the model was imported. "
                "Import the model anew."
            )
