"""Find out which format a path has, and read it."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from runs.interchange import csv_file, jsonl_file, mlflow_store, tensorboard, wandb_file
from runs.interchange.foreign import ForeignRun, Reading
from runs.interchange.spool import Spool
from runs.interchange.wandb_log import HEADER
from tunix_site.errors import InvalidInputError, NotFoundError

READERS: Final[dict[str, Callable[[Path, Spool, Reading], list[ForeignRun]]]] = {
    tensorboard.FORMAT: tensorboard.read,
    csv_file.FORMAT: csv_file.read,
    jsonl_file.FORMAT: jsonl_file.read,
    wandb_file.FORMAT: wandb_file.read,
    mlflow_store.FORMAT: mlflow_store.read,
}
# These are single files; the others may be folders.
OF_ONE_FILE: Final = frozenset({csv_file.FORMAT, jsonl_file.FORMAT})
_SUFFIXES: Final = {".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".wandb": "wandb"}


def read_history(path: Path, spool: Spool, *, format: str, reading: Reading) -> list[ForeignRun]:
    """Read every run of a path into the spool.

    Raises:
        NotFoundError: when nothing is there.
        InvalidInputError: when it holds no history, or one that is broken; the message says where.
    """
    if not path.exists():
        raise NotFoundError(f"There is nothing at {path}.", hint="Name a file or a folder of a history.")
    if not (path.is_file() or path.is_dir()):
        raise InvalidInputError(f"{path} is neither a file nor a folder.")
    if format == "auto":
        format = detect(path)
    if format in OF_ONE_FILE and path.is_dir():
        raise InvalidInputError(f"{path} is a folder; {format} is read from one file.")
    runs = [run for run in READERS[format](path, spool, reading) if run.identity]
    with_points = [run for run in runs if spool.count(run.number)]
    if not with_points:
        raise InvalidInputError(f"{path} holds no value of any metric ({format}).")
    return with_points


def detect(path: Path) -> str:
    """Tell the format of a path.

    Raises:
        InvalidInputError: when it has none that is known, or several.
    """
    found = _of_folder(path) if path.is_dir() else _of_file(path)
    if len(found) == 1:
        return found[0]
    if found:
        raise InvalidInputError(
            f"{path} holds histories of several kinds: {', '.join(found)}.", hint="Choose one with --format."
        )
    raise InvalidInputError(
        f"{path} has no format that is known ({', '.join(READERS)}).",
        hint="Name a file or folder that one of these tools wrote, or say which with --format.",
    )


def _of_folder(path: Path) -> list[str]:
    found = []
    if any(files for _, files, _ in tensorboard.event_files(path)):
        found.append(tensorboard.FORMAT)
    if wandb_file.find(path):
        found.append(wandb_file.FORMAT)
    if any(mlflow_store.run_folders(path)) or (path / "mlflow.db").is_file():
        found.append(mlflow_store.FORMAT)
    return found


def _of_file(path: Path) -> list[str]:
    if tensorboard.MARK in path.name:
        return [tensorboard.FORMAT]
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise InvalidInputError(f"{path} cannot be read: {error.strerror}.") from error
    if head.startswith(HEADER):
        return [wandb_file.FORMAT]
    if head.startswith(b"SQLite format 3\0"):
        return [mlflow_store.FORMAT]
    if path.suffix.lower() in _SUFFIXES:
        return [_SUFFIXES[path.suffix.lower()]]
    return [jsonl_file.FORMAT] if head.lstrip(b"\xef\xbb\xbf \r\n").startswith(b"{") else []
