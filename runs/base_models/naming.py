"""The name of a base model: what people write, and what a folder or repository suggests."""

import re

from training.bases import NAME_PATTERN, is_preset
from tunix_site.errors import InvalidInputError

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
# Words that stand in addresses of pages and API where a name could.
RESERVED = frozenset({"import", "imports"})


def check_name(name: str) -> str:
    """Give the name back.

    Raises:
        InvalidInputError: when no base model may be called so.
    """
    if not re.fullmatch(NAME_PATTERN, name):
        raise InvalidInputError(
            f"A base model cannot be called {name[:100]!r}: at most 80 small letters, digits, ., _, -."
        )
    if is_preset(name) or name in RESERVED:
        why = "a preset has this name" if is_preset(name) else "the word is reserved"
        raise InvalidInputError(
            f"A base model cannot be called {name!r}: {why}.", hint="Choose another with --name."
        )
    return name


def suggest_name(source: str) -> str:
    """Derive a name from the last part of a folder's path or of a repository's name.

    Raises:
        InvalidInputError: when nothing of it can be a name.
    """
    last = source.rstrip("/").rpartition("/")[2].lower()
    name = re.sub(r"[^a-z0-9._-]+", "-", last)[:80].strip("._-")
    if not name:
        raise InvalidInputError(f"No name follows from {source!r}.", hint="Give one with --name.")
    return check_name(name)


def is_repository(text: str) -> bool:
    """Tell whether a text has the form of a repository on the hub, ``owner/name``."""
    return bool(_REPOSITORY.fullmatch(text)) and ".." not in text and "--" not in text
