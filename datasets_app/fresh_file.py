"""Files that appear complete or not at all: written beside, then moved into their place."""

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

BUFFER = 1 << 20
UNFINISHED = ".fresh."


class FreshFile:
    """A file while it is written; as a context it goes away unless it was put in place.

    Raises:
        OSError: from every method, if the disk refuses.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / f"{UNFINISHED}{secrets.token_hex(8)}"
        self._file = self._path.open("xb", BUFFER)
        self._digest = hashlib.sha256()
        self._size = self._lines = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()

    def add(self, line: bytes) -> None:
        """Write the next line."""
        self._file.write(line)
        self._digest.update(line)
        self._size += len(line)
        self._lines += 1

    def put_in_place(self, path: Path) -> dict[str, Any]:
        """Move the file to ``path``, on the same disk, in one move; gives digest, bytes and lines.

        It keeps the mode of the file that it replaces.
        """
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        if path.exists():
            shutil.copymode(path, self._path)
        self._path.replace(path)
        return {"sha256": self._digest.hexdigest(), "bytes": self._size, "lines": self._lines}

    def discard(self) -> None:
        """Remove the file, where it was not put in place."""
        try:
            self._file.close()
        finally:
            self._path.unlink(missing_ok=True)


def write_out(path: Path, lines: Iterable[bytes]) -> dict[str, Any]:
    """Write lines where a person said: a link is followed, a device or pipe is written to, not replaced."""
    target = path.resolve()
    if not target.exists() or target.is_file():
        return replace_file(target, lines)
    digest, size, count = hashlib.sha256(), 0, 0
    with target.open("wb") as file:
        for line in lines:
            file.write(line)
            digest.update(line)
            size, count = size + len(line), count + 1
    return {"sha256": digest.hexdigest(), "bytes": size, "lines": count}


def replace_file(path: Path, lines: Iterable[bytes]) -> dict[str, Any]:
    """Write a file beside the old one and move it into its place; gives digest, bytes and lines."""
    with FreshFile(path.parent) as fresh:
        for line in lines:
            fresh.add(line)
        return fresh.put_in_place(path)
