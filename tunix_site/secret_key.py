"""The secret key of a machine that was given none: made once, kept in a file only its owner can read."""

import contextlib
import os
import secrets
import stat
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

KEY_CHARACTERS = 64
LEAST_CHARACTERS = 50


def read_or_make_key(path: Path) -> str:
    """Return the key in ``path``, making it first where there is none.

    Several processes may start at once: each writes a complete file of its own beside it and
    links it into place, which only the first can, and all read what stands there then.

    Raises:
        ImproperlyConfigured: the file cannot be made or read, is too short, or is readable by others.
    """
    try:
        if not path.exists():
            _make(path)
        with path.open(encoding="ascii") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            key = file.read().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ImproperlyConfigured(
            f"The secret key file {path} cannot be used ({error}). "
            "Set DJANGO_SECRET_KEY or TUNIX_SECRET_KEY_PATH."
        ) from error
    if mode & 0o077:
        raise ImproperlyConfigured(
            f"The secret key file {path} has mode {mode:o}, so others can read it. Run: chmod 600 {path}"
        )
    if len(key) < LEAST_CHARACTERS:
        raise ImproperlyConfigured(
            f"The secret key file {path} holds fewer than {LEAST_CHARACTERS} characters. "
            "Delete it to get a new one."
        )
    return key


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(KEY_CHARACTERS) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):  # then another process was first, and its key counts
            os.link(draft, path)
    finally:
        draft.unlink()
