"""The base models that a recipe can name beside the presets, as ``NAME@HASH``: where their files lie.

Imports no JAX, for the site reads them too. A base model is a folder named by its content hash with the
files of a Hugging Face model and a record of them, `RECORD_NAME`, which is written last.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from training.errors import ConfigError
from training.hf.families import model_config_from_hf
from training.model_config import PRESETS, ModelConfig, preset

RECORD_NAME: Final = "tunix_model.json"
RECORD_VERSION: Final = 1
# Digits of a content hash that a recipe writes behind the name.
PREFIX: Final = 12
# So many are enough where people write one.
FEWEST: Final = 8
NAME_PATTERN: Final = r"[a-z0-9][a-z0-9._-]{0,79}"

_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class FileFacts(BaseModel):
    """One file of a base model: its size in bytes and the SHA-256 of its content."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: Annotated[int, Field(ge=0)]
    sha256: _Sha256


class BaseRecord(BaseModel):
    """What was known of a base model when it was imported; the content of its record.

    ``source`` is a folder's name or a repository of the hub, ``revision`` the commit there;
    ``family`` the ``model_type`` of its config; ``dtype`` the type of most of its stored numbers.
    The hashes of tokenizer and chat template are empty where it has none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    record_version: int = RECORD_VERSION
    name: Annotated[str, Field(pattern=f"^{NAME_PATTERN}$")]
    source: str
    revision: str = ""
    family: str
    parameters: Annotated[int, Field(ge=1)]
    dtype: str
    licence: str = ""
    licence_text: str = ""
    files: dict[str, FileFacts]
    content_hash: _Sha256
    tokenizer_hash: str = ""
    chat_template_hash: str = ""
    imported_at: float

    @property
    def is_on_hub(self) -> bool:
        """Whether others find it under the name of its source; else that is a folder's name."""
        return "/" in self.source


@dataclass(frozen=True, slots=True)
class Base:
    """A base model on this machine: its folder, its record, and its shape in our own terms.

    ``positions`` is how many places of a text it was made for, None where its config does not say.
    """

    folder: Path
    record: BaseRecord
    shape: ModelConfig
    positions: int | None = None

    @property
    def reference(self) -> str:
        """The text by which a recipe names it."""
        return reference(self.record.name, self.record.content_hash)


_places: list[Callable[[], Path]] = [lambda: Path("artifacts") / "models"]


def use_root(root: Callable[[], Path]) -> None:
    """Say where base models lie; asked anew each time, for settings may change under tests."""
    _places[0] = root


def root() -> Path:
    """Return the folder that holds one folder for each base model, by content hash."""
    return _places[0]()


def is_base(model: str) -> bool:
    """Tell whether a recipe's ``model`` names a base model instead of a preset."""
    return "@" in model


def reference(name: str, content_hash: str) -> str:
    """Write what a recipe names: the name for people, the hash for what it means."""
    return f"{name}@{content_hash[:PREFIX]}"


def content_hash(files: Mapping[str, FileFacts]) -> str:
    """Return the SHA-256 over names and content hashes of all files, sorted by name."""
    told = json.dumps(sorted((name, facts.sha256) for name, facts in files.items()))
    return hashlib.sha256(told.encode()).hexdigest()


def find_base(model: str) -> Base:
    """Find the base model that ``NAME@HASH`` means.

    Raises:
        ConfigError: when it is written wrongly or does not lie here, saying how to get it.
    """
    name, _, prefix = model.partition("@")
    if not re.fullmatch(NAME_PATTERN, name) or not re.fullmatch(rf"[0-9a-f]{{{FEWEST},64}}", prefix):
        raise ConfigError(
            f"model {model!r}: a base model is written NAME@HASH with at least {FEWEST} digits of its hash."
        )
    found = sorted(folder for folder in root().glob(f"{prefix}*") if (folder / RECORD_NAME).is_file())
    if len(found) != 1:
        why = "is not on this machine" if not found else f"could be any of {len(found)}"
        raise ConfigError(
            f"model {model!r} {why}. Import it with `manage.py import_model`, which says its hash at the end."
        )
    return read_base(found[0])


def bases() -> list[Base]:
    """List the base models on this machine that can be read, those imported last first."""
    found = []
    for path in root().glob(f"*/{RECORD_NAME}"):
        try:
            found.append(read_base(path.parent))
        except ConfigError:
            continue
    return sorted(found, key=lambda base: (-base.record.imported_at, base.record.name))


def pinned(model: str) -> str:
    """Give what a recipe keeps of a model's name: a preset as it is, a base model with its hash.

    A bare name means the base model of that name that was imported last.

    Raises:
        ConfigError: when there is no such preset or base model, naming those that there are.
    """
    if is_base(model):
        return find_base(model).reference
    if model in PRESETS:
        return model
    known = bases()
    for base in known:
        if base.record.name == model:
            return base.reference
    try:
        preset(model)
    except ConfigError as error:
        names = (
            ", ".join(dict.fromkeys(base.record.name for base in known)) or "none (import_model brings one)"
        )
        raise ConfigError(f"{error} Base models here: {names}.") from error
    return model


def read_base(folder: Path) -> Base:
    """Read the record and the config of a base model's folder.

    Raises:
        ConfigError: when one of them is missing or says something that cannot be.
    """
    try:
        changed = (folder / RECORD_NAME).stat().st_mtime_ns
    except OSError as error:
        raise ConfigError(f"The base model in {folder.name[:PREFIX]} has no record: {error}.") from error
    return _read(folder, changed)


@lru_cache(maxsize=16)
def _read(folder: Path, changed: int) -> Base:  # noqa: ARG001 (a changed record is read anew)
    try:
        record = BaseRecord.model_validate_json((folder / RECORD_NAME).read_bytes())
        config = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValidationError, ValueError) as error:
        raise ConfigError(
            f"The base model in {folder.name[:PREFIX]} cannot be read ({error}). Import it anew."
        ) from error
    positions = config.get("max_position_embeddings")
    known = isinstance(positions, int) and not isinstance(positions, bool) and positions > 0
    return Base(folder, record, model_config_from_hf(config), positions if known else None)


def model_shape(model: str) -> ModelConfig:
    """Return the shape that a recipe's ``model`` means, a preset's or a base model's.

    Raises:
        ConfigError: for an unknown preset, listing the known ones, or a base model that is not here.
    """
    return find_base(model).shape if is_base(model) else preset(model)


def is_preset(name: str) -> bool:
    """Tell whether a name is taken by a preset, so that no base model may have it."""
    return name in PRESETS
