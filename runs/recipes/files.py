"""Recipe files: one small text that holds what another machine needs to repeat a run.

TOML, read strictly: a file that is not wholly understood is refused, for a recipe that is
half understood would train something else.
"""

import hashlib
import json
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from datasets_app.models import Dataset
from runs.models import Run
from runs.recipes.figures import Figure
from runs.recipes.sources import generated_facts, how_to_get
from runs.states import Kind
from training.bases import is_base
from training.config import BASE_FIELDS, HARMLESS_FIELDS, TrainConfig, make_config
from training.errors import ConfigError
from tunix_site import __version__
from tunix_site.errors import ConflictError, InvalidInputError, NotFoundError

RECIPE_VERSION: Final = 1
MAX_BYTES: Final = 1 << 20
_TYPES: Final = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


class _Table(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Generated(_Table):
    """What decides a generated dataset."""

    generator: str
    count: int
    seed: int


class _Data(_Table):
    key: str
    content_hash: str
    get: str = ""
    generated: Generated | None = None


class _Expected(_Table):
    config_hash: str
    step: int
    final_loss: FiniteFloat | None = None
    params_hash: str


class _File(_Table):
    """What stands in a file; ``facts`` are for people."""

    recipe_version: Literal[1]
    made_by: str = ""
    made_from_run: int = 0
    name: Annotated[str, Field(max_length=300)] = ""
    about: Annotated[str, Field(max_length=2000)] = ""
    dataset: _Data
    config: dict[str, Any]
    expected: _Expected | None = None
    figures: list[Figure] = []
    facts: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a recipe file says.

    ``expected`` is what the run that it was made from came to; empty where the config was
    changed since, for another recipe ends otherwise. ``figures`` are shares that it should reach
    on any machine. ``sha256`` is over the file.
    """

    config: TrainConfig
    dataset_key: str
    content_hash: str
    get_dataset: str
    sha256: str
    name: str = ""
    about: str = ""
    generated: Generated | None = None
    expected: Mapping[str, Any] = field(default_factory=dict)
    figures: tuple[Figure, ...] = ()

    def params(self) -> dict[str, Any]:
        """Give what a run keeps of the recipe that it was made from."""
        figures = [one.model_dump(mode="json") for one in self.figures]
        return {"recipe": {"sha256": self.sha256, "expected": dict(self.expected), "figures": figures}}

    def dataset(self) -> Dataset:
        """Find the data of the recipe.

        Raises:
            NotFoundError: saying how to get them, and which other content of the key is there.
        """
        found = Dataset.objects.filter(content_hash=self.content_hash, published_at__isnull=False)
        row = found.filter(key=self.dataset_key).order_by("-id").first() or found.order_by("-id").first()
        if row is not None:
            return row
        same_key = Dataset.objects.filter(key=self.dataset_key, published_at__isnull=False)
        newest = same_key.order_by("-id").first()
        other = f" Of that key there is {newest.address}." if newest else ""
        wanted = f"{self.dataset_key}@{self.content_hash[:12]}"
        raise NotFoundError(
            f"The recipe's dataset {wanted} is not in this database.{other}",
            hint=f"Get it with: {self.get_dataset}" if self.get_dataset else "Import it first.",
        )


def verdict_on(run: Run) -> bool | None:
    """Tell whether a run that was made from a recipe ended as that expected; None where it cannot be told."""
    expected = (run.params.get("recipe") or {}).get("expected") or {}
    if not expected.get("params_hash") or not run.params_hash or run.step != expected.get("step"):
        return None
    return bool(run.params_hash == expected["params_hash"])


def write_recipe(run: Run) -> str:
    """Write the recipe of a training as text.

    Raises:
        ConflictError: when the run is not a training from its first step on a dataset.
    """
    if run.kind != Kind.TRAIN or run.dataset is None:
        raise ConflictError(f"Run {run.pk} is no training on a dataset, so it has no recipe.")
    # One that was taken up from a checkpoint of its own has a path too, but no such step.
    if run.parent_step is not None:
        raise ConflictError(
            f"Run {run.pk} began from a checkpoint, {run.resume_path}, which no recipe can hold.",
            hint=f"Export the run that it came from: run {run.parent_id}." if run.parent_id else "",
        )
    config = make_config(run.config)
    lines = [
        "# A recipe of tunix_site: what another machine needs to repeat a training.",
        "# Train it with: manage.py train --recipe FILE",
        _line("recipe_version", RECIPE_VERSION),
        _line("made_by", f"tunix_site {__version__}"),
        _line("made_from_run", run.pk),
        _line("name", run.name),
        "",
        "[dataset]",
        _line("key", run.dataset.key),
        _line("content_hash", run.dataset.content_hash),
        "# How to get it.",
        _line("get", how_to_get(run.dataset)),
        *_generated_lines(run.dataset),
        "",
        "[config]",
    ]
    for name, value in config.model_dump(mode="json").items():
        lines += [f"# {TrainConfig.model_fields[name].description}", _line(name, value)]
    if run.params_hash and run.step == config.steps and not run.inexact_attempts.exists():
        lines += ["", "# What the run came to; it holds for this config alone.", "[expected]"]
        lines += [_line("config_hash", config_hash(config)), _line("step", run.step)]
        lines += [_line("final_loss", run.final_loss)] if run.final_loss is not None else []
        lines += [_line("params_hash", run.params_hash)]
    lines += ["", "# Where it ran: an exact repeat needs the same.", "[facts]"]
    lines += [_line(name, value) for name, value in _facts(run).items()]
    return "\n".join(lines) + "\n"


def _generated_lines(dataset: Dataset) -> list[str]:
    facts = generated_facts(dataset)
    return ["[dataset.generated]", *(_line(name, value) for name, value in facts.items())] if facts else []


def config_hash(config: TrainConfig, *, fields: Collection[str] | None = None) -> str:
    """Return the SHA-256 over the fields and values of a config: all, or those that are named."""
    values = config.model_dump(mode="json")
    text = json.dumps({name: values[name] for name in fields or values}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def read_recipe(path: Path) -> Recipe:
    """Read and check a recipe file.

    Raises:
        NotFoundError: when there is no such file.
        InvalidInputError: naming what in it is wrong.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise NotFoundError(
            f"There is no recipe file {str(path)!r}.",
            hint="Write one with: manage.py export_recipe RUN -o FILE",
        ) from None
    except OSError as error:
        raise InvalidInputError(f"The recipe file {str(path)!r} cannot be read: {error.strerror}.") from error
    if len(raw) > MAX_BYTES:
        raise InvalidInputError(f"{path} is no recipe: it is larger than {MAX_BYTES:,} bytes.")
    try:
        return parse_recipe(raw)
    except InvalidInputError as error:
        raise InvalidInputError(f"{path}: {error}") from error


def parse_recipe(raw: bytes) -> Recipe:
    """Check the bytes of a recipe file.

    Raises:
        InvalidInputError: naming what in it is wrong.
    """
    try:
        found = tomllib.loads(raw.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise InvalidInputError(f"this is no TOML: {error}.") from error
    version = found.get("recipe_version", RECIPE_VERSION)
    if version != RECIPE_VERSION or isinstance(version, bool):
        raise InvalidInputError(f"recipe_version is {version!r}; this project reads {RECIPE_VERSION}.")
    try:
        file = _File.model_validate(found)
    except ValidationError as error:
        raise InvalidInputError(_explain(error)) from error
    # A field that changes no number may be younger than the file.
    without = HARMLESS_FIELDS if is_base(str(file.config.get("model"))) else HARMLESS_FIELDS | BASE_FIELDS
    if missing := sorted(TrainConfig.model_fields.keys() - file.config.keys() - without):
        raise InvalidInputError(f"config lacks {', '.join(missing)}; a recipe names every field.")
    try:
        config = make_config(file.config)
    except ConfigError as error:
        raise InvalidInputError(str(error)) from error
    _require_types(file.config, config)
    expected, as_written = file.expected, config_hash(config, fields=file.config.keys())
    return Recipe(
        config=config,
        dataset_key=file.dataset.key,
        content_hash=file.dataset.content_hash,
        get_dataset=file.dataset.get,
        sha256=hashlib.sha256(raw).hexdigest(),
        name=file.name,
        about=file.about,
        generated=file.dataset.generated,
        figures=tuple(file.figures),
        expected=expected.model_dump() if expected and expected.config_hash == as_written else {},
    )


def _require_types(given: Mapping[str, Any], config: TrainConfig) -> None:
    """Refuse a value that was read as another type: flags are text, but ``steps = true`` is a slip."""
    for name, value in config.model_dump(mode="json").items():
        found = given.get(name, value)
        if type(found) is not type(value) and not (type(found) is int and isinstance(value, float)):
            raise InvalidInputError(
                f"config.{name} is {_toml(found)}; it takes {_TYPES[type(value)]}, like {_toml(value)}."
            )


def _explain(error: ValidationError) -> str:
    found = error.errors(include_url=False)
    named = (f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in found[:5])
    return "; ".join(named) + "."


def _facts(run: Run) -> dict[str, Any]:
    record = run.provenance
    packages = record.get("packages") or {}
    named = {
        "git_commit": record.get("git_commit"),
        "git_dirty": record.get("git_dirty"),
        "python": record.get("python"),
        "device": (record.get("device") or {}).get("device_kind"),
        "cpu_model": record.get("cpu_model"),
        "threads": record.get("threads"),
        **{name.replace("-", "_"): version for name, version in packages.items()},
    }
    return {name: value for name, value in named.items() if value is not None}


def _line(name: str, value: Any) -> str:
    """Write one assignment; what JSON writes of text, numbers and truth is TOML, but for one character."""
    return f"{name} = {_toml(value)}"


def _toml(value: Any) -> str:
    text = repr(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False, default=str)
    return text.replace("\x7f", "\\u007f")
