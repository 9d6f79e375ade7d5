"""The data of a recipe: found, or generated where the recipe says how."""

from datasets_app.models import Dataset
from datasets_app.services import seed_dataset
from runs.recipes.files import Recipe
from tunix_site.errors import ConflictError, NotFoundError


def get_dataset(recipe: Recipe) -> Dataset:
    """Find the data of a recipe, or generate them where the recipe says how.

    Raises:
        NotFoundError: where they are not here and cannot be generated; it says how to get them.
        ConflictError: where what is generated here is not what the recipe was made with.
    """
    try:
        return recipe.dataset()
    except NotFoundError:
        if recipe.generated is None:
            raise
    made = recipe.generated
    dataset = seed_dataset(key=made.generator, count=made.count, seed=made.seed).dataset
    if dataset.content_hash != recipe.content_hash:
        raise ConflictError(
            f"{made.generator} gives {dataset.address} here, and the recipe was made with "
            f"{recipe.dataset_key}@{recipe.content_hash[:12]}: its generator has changed since.",
            hint="Take a recipe that was made with this version.",
        )
    return dataset
