"""The safetensors files of a folder: which there are, and where in them each tensor lies. Imports no JAX.

The safetensors library checks a file's head (offsets without gaps or overlaps, the size of the file);
what is read here are places, never the numbers themselves.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from training.bases import RECORD_NAME, BaseRecord
from training.errors import ConfigError

SINGLE_NAME: Final = "model.safetensors"
INDEX_NAME: Final = "model.safetensors.index.json"
# Above this, weights are written to several files.
MAX_SHARD_BYTES: Final = 5_000_000_000
_LENGTH_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tensor lies: its file, its first byte there, and its size in bytes; ``dtype`` as stored."""

    name: str
    path: Path
    dtype: str
    shape: tuple[int, ...]
    start: int
    size: int


def shard_paths(folder: Path) -> list[Path]:
    """List the files with the weights of a folder, in the order of their names.

    Raises:
        ConfigError: when there are none, one that the index names is missing, or a file has another
            size than the folder's record says.
    """
    if (folder / SINGLE_NAME).is_file():
        paths = [folder / SINGLE_NAME]
    elif (folder / INDEX_NAME).is_file():
        paths = [folder / name for name in sorted(set(weight_map(folder).values()))]
    else:
        raise ConfigError(f"{folder} holds neither {SINGLE_NAME} nor {INDEX_NAME}.")
    _require_recorded(folder, paths)
    return paths


def weight_map(folder: Path) -> dict[str, str]:
    """Read from the index which file holds which tensor.

    Raises:
        ConfigError: when the index cannot be read, or names a file outside of the folder.
    """
    path = folder / INDEX_NAME
    try:
        told = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.") from error
    found = told.get("weight_map") if isinstance(told, dict) else None
    if not isinstance(found, dict) or not found or not all(isinstance(one, str) for one in found.values()):
        raise ConfigError(f"{path} has no weight_map of tensors to files.")
    for name in sorted(set(found.values())):
        if Path(name).name != name or not name.endswith(".safetensors"):
            raise ConfigError(f"{path} names {name!r}, which is no safetensors file beside it.")
    return found


def places(folder: Path) -> list[Place]:
    """Say where each tensor of a folder lies, file by file in the order of the bytes.

    Raises:
        ConfigError: as `shard_paths`; for a file that is cut off or damaged, a tensor that is in two
            files, and an index that contradicts the files.
    """
    found: dict[str, Place] = {}
    for path in shard_paths(folder):
        for place in places_in(path):
            if place.name in found:
                other = found[place.name].path.name
                raise ConfigError(f"{place.name} is in two files of {folder}: {other} and {path.name}.")
            found[place.name] = place
    if not (folder / SINGLE_NAME).is_file():
        _require_indexed(folder, found)
    return list(found.values())


def places_in(path: Path) -> list[Place]:
    """Say where each tensor of one file lies, in the order of the bytes.

    Raises:
        ConfigError: when the file is missing, cut off, damaged or no safetensors file.
    """
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise ConfigError(
            "Reading weights needs the safetensors library: install the extra `models`."
        ) from error
    try:
        with safe_open(path, framework="np", backend="pread"):
            pass
        with path.open("rb") as file:
            length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
            head: Mapping[str, Any] = json.loads(file.read(length))
    except FileNotFoundError as error:
        raise ConfigError(f"{path} is missing.") from error
    except (OSError, ValueError, SafetensorError) as error:
        raise ConfigError(
            f"{path} is cut off, damaged or no safetensors file ({error}). Get it anew."
        ) from error
    first = _LENGTH_BYTES + length
    found = []
    for name, facts in head.items():
        if name == "__metadata__":
            continue
        start, end = facts["data_offsets"]
        found.append(Place(name, path, facts["dtype"], tuple(facts["shape"]), first + start, end - start))
    return sorted(found, key=lambda place: place.start)


def _require_indexed(folder: Path, found: Mapping[str, Place]) -> None:
    """Refuse an index that names tensors which its files lack, or leaves out some that they have."""
    told = weight_map(folder)
    for name in sorted(told.keys() | found.keys()):
        here = found[name].path.name if name in found else "no file"
        if told.get(name, "no file") != here:
            raise ConfigError(
                f"{folder / INDEX_NAME} does not fit its files: {name} should be in "
                f"{told.get(name, 'no file')} and is in {here}."
            )


def _require_recorded(folder: Path, paths: list[Path]) -> None:
    record_path = folder / RECORD_NAME
    if not record_path.is_file():
        return
    try:
        recorded = BaseRecord.model_validate_json(record_path.read_bytes()).files
    except (OSError, ValueError) as error:
        raise ConfigError(f"{record_path} cannot be read ({error}). Import the model anew.") from error
    for path in paths:
        if path.name not in recorded:
            raise ConfigError(
                f"{path} is not in the record of its model: it was added later. Import the model anew."
            )
        size = path.stat().st_size if path.is_file() else None
        if size != recorded[path.name].size:
            found = "is missing" if size is None else f"has {size:,} bytes"
            raise ConfigError(
                f"{path} {found}; it had {recorded[path.name].size:,} bytes when the model was imported. "
                "Import the model anew."
            )
