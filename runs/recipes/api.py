"""REST routes of the recipes that come with the project."""

from typing import Annotated, Literal

from django.http import HttpRequest
from ninja import Path, Router, Schema, Status
from pydantic import ConfigDict, Field

from runs.recipes.figures import Figure
from runs.recipes.shipped import shipped, start
from runs.schemas import RunOut
from tunix_site.auth import OPERATE, READ, require
from tunix_site.schemas import ERRORS

recipes_router = Router(tags=["training"])

RecipeName = Annotated[str, Path(max_length=100, pattern=r"^[-a-zA-Z0-9_]+$")]


class RecipeOut(Schema):
    """A shipped recipe."""

    name: str
    title: str
    about: str
    dataset: str
    content_hash: str
    get: str = Field(description="how to get its data")
    sha256: str
    figures: list[Figure]


class TrainIn(Schema):
    """Where to train a recipe."""

    model_config = ConfigDict(extra="forbid")

    device: Literal["cpu", "gpu"] | None = Field(None, description="default: a usable GPU, else the CPU")


@recipes_router.get("", response={200: list[RecipeOut], **ERRORS}, auth=READ, summary="Shipped recipes")
def list_recipes(request: HttpRequest) -> list[RecipeOut]:
    """List the recipes that come with the project, with what each is expected to reach."""
    return [
        RecipeOut(
            name=name,
            title=recipe.name,
            about=recipe.about,
            dataset=recipe.dataset_key,
            content_hash=recipe.content_hash,
            get=recipe.get_dataset,
            sha256=recipe.sha256,
            figures=list(recipe.figures),
        )
        for name, recipe in shipped().items()
    ]


@recipes_router.post(
    "{name}/train", response={201: RunOut, **ERRORS}, auth=OPERATE, summary="Train a shipped recipe"
)
def train_recipe(request: HttpRequest, name: RecipeName, payload: TrainIn | None = None) -> Status[RunOut]:
    """Queue a training of a recipe; data that can be generated are generated first."""
    device = payload.device if payload else None
    user = require(request, "operate").user
    run = start(name, device=device, origin=f"POST /api/training/recipes/{name}/train", actor=user)
    return Status(201, RunOut.of(run))
