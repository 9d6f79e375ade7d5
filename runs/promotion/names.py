"""What a name of a checkpoint may be, and the scope that it lives in."""

import re
from typing import Final

from datasets_app.models import Dataset
from runs.models import Run
from runs.models.promotion import NAME_PATTERN, NAME_RULE
from tunix_site.errors import InvalidInputError, NotFoundError

BEST: Final = "best"
# Words that mean something else where a checkpoint is named.
TAKEN: Final = frozenset({"latest", "final", "none"})
LONGEST_WHY: Final = 2000
LONGEST_SCOPE: Final = 100


def check_name(name: str) -> str:
    """Give a name back that can be one.

    Raises:
        InvalidInputError: saying what a name looks like.
    """
    if name in TAKEN:
        raise InvalidInputError(f"A checkpoint cannot be called {name!r}: the word means something else.")
    if not re.match(NAME_PATTERN, name):
        raise InvalidInputError(f"{name[:60]!r} is no name for a checkpoint.", hint=f"{NAME_RULE}.")
    return name


def check_why(why: str) -> str:
    """Give a reason back, without white space around it.

    Raises:
        InvalidInputError: where there is none, or it is too long.
    """
    text = why.replace("\x00", "").strip()
    if not text:
        raise InvalidInputError("A move needs a reason.", hint="Write why: --why TEXT, or “why”.")
    if len(text) > LONGEST_WHY:
        raise InvalidInputError(f"The reason has {len(text)} characters; at most {LONGEST_WHY} are kept.")
    return text


def check_scope(scope: str) -> str:
    """Give a scope back: the key of a dataset that there is.

    Raises:
        NotFoundError: naming some of the keys.
    """
    if "\x00" not in scope and Dataset.objects.filter(key=scope, status="published").exists():
        return scope
    keys = Dataset.objects.filter(status="published").order_by("key").values_list("key", flat=True)
    named = ", ".join(keys.distinct()[:20])
    raise NotFoundError(
        f"There is no dataset {scope[:LONGEST_SCOPE]!r}, so names cannot be scoped to it.",
        hint=f"There are: {named}." if named else "Seed or import one first.",
    )


def scope_of(run: Run, scope: str = "") -> str:
    """Give the scope to use for a checkpoint of a run: the one named, else the run's own dataset key.

    Raises:
        InvalidInputError: where the run has no dataset and none is named.
        NotFoundError: where there is no such dataset.
    """
    if scope:
        return check_scope(scope)
    if run.dataset is None:
        raise InvalidInputError(f"Run {run.pk} names no dataset.", hint="Name the scope: a dataset key.")
    return run.dataset.key
