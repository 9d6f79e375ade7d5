"""The recipes that come with the project: found by name, and started."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.db import transaction

from runs import services
from runs.creating import create_run
from runs.devices import Device, resolve_device
from runs.models import Run
from runs.recipes.files import Recipe, parse_recipe, read_recipe
from runs.recipes.getting import get_dataset
from runs.services import Actor
from runs.states import Kind
from training.bases import model_shape
from training.config import TrainConfig
from training.model_config import parameter_count
from tunix_site.errors import InvalidInputError, NotFoundError

DEVICES: Final = (None, "cpu", "gpu")


def folder() -> Path:
    """Give the folder of the shipped recipes."""
    return Path(settings.BASE_DIR) / "recipes"


def names() -> list[str]:
    """List the shipped recipes."""
    return sorted(path.stem for path in folder().glob("*.toml"))


def shipped() -> dict[str, Recipe]:
    """Read all shipped recipes, those first that are the quickest to train."""
    found = {name: parse_recipe((folder() / f"{name}.toml").read_bytes()) for name in names()}
    return dict(sorted(found.items(), key=lambda one: (*_size(one[1].config), one[0])))


def _size(config: TrainConfig) -> tuple[int, int]:
    return parameter_count(model_shape(config.model)), config.steps


def find_recipe(name_or_file: str) -> Recipe:
    """Read a shipped recipe by its name, or any other by its file.

    Raises:
        NotFoundError: naming the shipped ones.
        InvalidInputError: when the file is no recipe.
    """
    if name_or_file in names():
        return read_recipe(folder() / f"{name_or_file}.toml")
    path = Path(name_or_file)
    if not path.exists():
        raise NotFoundError(
            f"There is no recipe {name_or_file!r}, neither a shipped one nor a file.",
            hint=f"Shipped: {', '.join(names())}. A run's own: manage.py export_recipe RUN -o FILE.",
        )
    return read_recipe(path)


def create_from(recipe: Recipe, *, device: Device, name: str = "", **more: Any) -> Run:
    """Write a draft run of a recipe; its data are generated where they are not there.

    Raises:
        NotFoundError: where the data are not here; it says how to get them.
    """
    return create_run(
        kind=Kind.TRAIN,
        config=recipe.config,
        device=device,
        dataset=get_dataset(recipe),
        total_steps=recipe.config.steps,
        name=name or recipe.name,
        params=recipe.params(),
        **more,
    )


def start(name: str, *, device: str | None, origin: str, actor: Actor) -> Run:
    """Queue a training of a shipped recipe, for ``cpu``, ``gpu`` or whatever this machine has.

    Raises:
        UserError: saying what is missing: the recipe, its data, or the device.
    """
    recipe = find_recipe(name) if name in names() else _unknown(name)
    if device not in DEVICES:
        raise InvalidInputError(f"device is {device!r}; it is cpu, gpu or left out.")
    get_dataset(recipe)
    # Asking what there is may take seconds, and nobody else could write meanwhile.
    place = resolve_device(kind=device, index=None)
    with transaction.atomic():
        run = create_from(recipe, device=place, origin=origin, actor=actor)
        services.enqueue_run(run, actor=actor)
    return run


def newest_runs(recipes: Mapping[str, Recipe], *, each: int = 3) -> dict[str, list[Run]]:
    """Give the newest trainings of each of some recipes, with two queries for all."""
    by_hash = {recipe.sha256: name for name, recipe in recipes.items()}
    chosen: dict[str, list[int]] = {name: [] for name in recipes}
    trained = Run.objects.filter(kind=Kind.TRAIN, params__recipe__sha256__in=list(by_hash)).order_by("-id")
    for pk, sha256 in trained.values_list("pk", "params__recipe__sha256").iterator():
        if len(chosen[by_hash[sha256]]) < each:
            chosen[by_hash[sha256]].append(pk)
    runs = Run.objects.in_bulk([pk for some in chosen.values() for pk in some])
    return {name: [runs[pk] for pk in some] for name, some in chosen.items()}


def _unknown(name: str) -> Recipe:
    raise NotFoundError(f"There is no shipped recipe {name!r}.", hint=f"Shipped: {', '.join(names())}.")
