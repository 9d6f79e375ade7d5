"""Which grader a dataset asks for, unless a person chooses one (see `training.grading.graders`)."""

from typing import Final

from datasets_app.generators import FAMILIES
from datasets_app.models import Dataset

# Answers of GSM8K are numbers, compared everywhere as lm-evaluation-harness does.
BY_FORMAT: Final = {"gsm8k": "gsm8k_flexible"}


def default_grader(dataset: Dataset) -> str:
    """Name the grader of a dataset; an empty text where it asks for none.

    An imported one goes by its format, a generated one by its families where all of them agree.
    """
    recipe = dataset.recipe
    if recipe.get("kind") == "import":
        return BY_FORMAT.get(recipe.get("format", ""), "")
    families = recipe.get("families")
    if not isinstance(families, dict):
        return ""
    wanted = {FAMILIES[name].grader if name in FAMILIES else "" for name in families}
    return wanted.pop() if len(wanted) == 1 else ""
