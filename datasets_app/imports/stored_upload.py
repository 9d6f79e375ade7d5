"""The uploaded file of an import, kept in its folder until the import has ended."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from datasets_app.imports.errors import TooLargeError
from datasets_app.imports.limits import MIB, Limits
from datasets_app.imports.reader import count_at_most
from datasets_app.imports.rejects import folder_of
from datasets_app.models import Import

LARGEST_AT_ONCE = 10_000
LARGEST_UPLOAD_AT_ONCE = MIB
LARGEST_UNPACKED_AT_ONCE = 16 * MIB
UPLOAD = "upload"


def path_of(row: Import) -> Path:
    """Give the place of an import's uploaded file."""
    return folder_of(row.pk) / UPLOAD


def store(row: Import, chunks: Iterable[bytes]) -> int:
    """Write an upload down while it comes in; gives its bytes.

    Raises:
        TooLargeError: as soon as it goes beyond the limit of the settings.
    """
    most = Limits.of_settings().total_bytes
    path, size = path_of(row), 0
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for chunk in chunks:
            size += len(chunk)
            if size > most:
                raise TooLargeError(
                    f"The upload is larger than {most // MIB} MiB.",
                    hint="Part it, or raise TUNIX_IMPORT_MAX_MB.",
                )
            file.write(chunk)
    return size


def is_large(row: Import) -> bool:
    """Tell whether importing a stored upload would take too long for a web request."""
    if row.file_bytes > LARGEST_UPLOAD_AT_ONCE:
        return True
    count = count_at_most(
        path_of(row), name=row.file_name, most=LARGEST_AT_ONCE, bytes_most=LARGEST_UNPACKED_AT_ONCE
    )
    return count is None


def forget(row: Import) -> None:
    """Remove an upload, and its folder where nothing else lies there."""
    folder = folder_of(row.pk)
    (folder / UPLOAD).unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        shutil.rmtree(folder, ignore_errors=True)
