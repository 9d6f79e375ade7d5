"""Single files of models: copied, hashed, linked, and put in the place of damaged ones."""

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from training.bases import FileFacts
from training.hf.headers import open_regular

_CHUNK: Final = 8 << 20

# Called with bytes done, bytes in all, and what is done.
type Progressed = Callable[[int, int, str], None]


def quietly(done: int, total: int, what: str) -> None:
    """Show no progress."""


def counting(progressed: Progressed, done: int, total: int, what: str) -> Callable[[int], None]:
    """Count the bytes of one file on top of those that were done before it."""
    return lambda count: progressed(done + count, total, what)


def copy_file(source: Path, target: Path, counted: Callable[[int], None], *, most: int) -> str:
    """Copy and hash; a file that grows as it is read is left where it has become too large."""
    hashed, count = hashlib.sha256(), 0
    with open_regular(source) as file, target.open("xb") as copy:
        while count <= most and (piece := file.read(_CHUNK)):
            hashed.update(piece)
            copy.write(piece)
            count += len(piece)
            counted(count)
        copy.flush()
        os.fsync(copy.fileno())
    return hashed.hexdigest()


def hash_file(path: Path, counted: Callable[[int], None], *, most: int) -> str:
    """Return the SHA-256 of a file, of which no more than about ``most`` bytes are read."""
    hashed, count = hashlib.sha256(), 0
    with open_regular(path) as file:
        while count <= most and (piece := file.read(_CHUNK)):
            hashed.update(piece)
            count += len(piece)
            counted(count)
    return hashed.hexdigest()


def link_file(source: Path, target: Path) -> bool:
    """Give a file of ours a second name, where the disk can; it then takes no second room."""
    try:
        target.hardlink_to(source)
    except OSError:
        return False
    return True


def damaged_files(
    folder: Path, files: Mapping[str, FileFacts], progressed: Progressed = quietly, *, done: int = 0
) -> list[str]:
    """Name the files of a base model whose bytes are not those of its record; all of them are read.

    ``done`` bytes were dealt with before. A file that is gone counts too.
    """
    total, found = done + sum(facts.size for facts in files.values()), []
    for name, facts in files.items():
        count = counting(progressed, done, total, f"checking {name}")
        path = folder / name
        if not path.is_file() or hash_file(path, count, most=facts.size) != facts.sha256:
            found.append(name)
        done += facts.size
    return found


def replace_files(
    source: Path, fresh: Path, place: Path, names: Iterable[str], files: Mapping[str, FileFacts]
) -> bool:
    """Put files in the place of damaged ones, each by one rename; False when the source has changed.

    ``fresh`` is an empty folder on the disk of ``place``.
    """
    for name in names:
        digest = copy_file(source / name, fresh / name, lambda _count: None, most=files[name].size)
        if digest != files[name].sha256:
            return False
        (fresh / name).rename(place / name)
    return True
