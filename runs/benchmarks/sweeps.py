"""Several recipes from a few flags: `--sweep batch=8,16 --sweep remat=none,block`."""

import itertools
from collections.abc import Sequence
from typing import Final

from tunix_site.errors import InvalidInputError

# Short names for what is swept most.
SHORT: Final = {"batch": "batch_size", "length": "sequence_length", "scan": "scan_layers"}
MAX_RECIPES: Final = 100


def combinations(flags: Sequence[str]) -> list[list[str]]:
    """Give the ``field=value`` overrides of every combination; one without any where nothing is swept.

    Raises:
        InvalidInputError: for a flag without values, a field that is swept twice, or too many recipes.
    """
    axes: dict[str, list[str]] = {}
    for flag in flags:
        name, _, values = flag.partition("=")
        field = SHORT.get(name.strip(), name.strip())
        chosen = list(dict.fromkeys(value.strip() for value in values.split(",") if value.strip()))
        if not field or not chosen:
            raise InvalidInputError(f"--sweep {flag!r}: write FIELD=VALUE,VALUE, as in batch=8,16,32.")
        if field in axes:
            raise InvalidInputError(f"--sweep {flag!r}: {field} is swept twice.")
        axes[field] = chosen
    found = [
        [f"{field}={value}" for field, value in zip(axes, values, strict=True)]
        for values in itertools.product(*axes.values())
    ]
    if len(found) > MAX_RECIPES:
        raise InvalidInputError(f"--sweep would measure {len(found)} recipes; at most {MAX_RECIPES} are.")
    return found
