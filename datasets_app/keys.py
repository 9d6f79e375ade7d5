"""The keys that datasets can have: one definition for building and importing."""

from typing import Annotated

from pydantic import AfterValidator, StringConstraints

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"

# Words that stand in addresses of pages and API where a key could: a dataset of that name could not be read.
RESERVED = frozenset({"build", "compare", "import", "imports"})


def check_key(key: str) -> str:
    """Give the key back.

    Raises:
        ValueError: if it is reserved.
    """
    if key in RESERVED:
        raise ValueError(f"a dataset cannot be called {key!r}: reserved are {', '.join(sorted(RESERVED))}")
    return key


type Key = Annotated[str, StringConstraints(pattern=NAME, max_length=100), AfterValidator(check_key)]
