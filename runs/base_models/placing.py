"""A model's folder becomes a base model: copied and hashed into the artifacts, whole or not at all."""

import contextlib
import errno
import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from runs.base_models.licences import Told, read_told
from runs.base_models.places import DELETED, check_room, partial_folder, ready_root, sync_folder
from training.bases import RECORD_NAME, BaseRecord, FileFacts, content_hash
from training.errors import ConfigError
from training.hf.files import FolderFacts, check_tied, inspect_folder
from training.hf.headers import open_regular
from tunix_site.errors import UserError

_CHUNK: Final = 8 << 20

# Called with bytes done, bytes in all, and what is done.
type Progressed = Callable[[int, int, str], None]


def quietly(done: int, total: int, what: str) -> None:
    """Show no progress."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A base model that lies in the artifacts; ``created``: it was not there before."""

    record: BaseRecord
    created: bool


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a model came from: a folder's name or a repository, and its commit.

    ``ours``: the folder is a download of ours, whose files may be linked instead of copied.
    """

    source: str
    revision: str = ""
    ours: bool = False


def place_folder(
    folder: Path,
    *,
    origin: Origin,
    name_for: Callable[[str], str],
    progressed: Progressed = quietly,
) -> Placed:
    """Copy a model's files into the artifacts, hashing them, and write its record last.

    ``name_for`` gives the name, by the content hash. The finished folder appears by one rename.

    Raises:
        ConfigError: when the model cannot be used.
        UserError: when there is no room for it or a file changed meanwhile.
    """
    facts = inspect_folder(folder)
    check_tied(facts)
    sizes = {name: (folder / name).stat().st_size for name in facts.files}
    total = sum(sizes.values())
    root = ready_root()
    if there := _same_content(root, folder, sizes, progressed):
        name_for(there.content_hash)
        return Placed(there, created=False)
    if not origin.ours:
        check_room(root, total, "The model")
    told = read_told(folder)
    try:
        with partial_folder(root) as partial:
            files = _take(folder, partial, sizes, origin, progressed)
            # What was copied is what counts, whatever became of the folder meanwhile.
            kept = inspect_folder(partial)
            record = _record(kept, told, files, origin, name_for)
            _write_record(partial, record)
            progressed(total, total, "settling")
            created = _settle(partial, root / record.content_hash)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise UserError(
                f"The disk of {root} became full. Nothing was kept.", hint="Make room there."
            ) from error
        raise UserError(f"The model could not be kept: {error}. Nothing was changed.") from error
    return Placed(read_record(root / record.content_hash) or record, created=created)


def read_record(folder: Path) -> BaseRecord | None:
    """Read the record of a base model whose files are all there with their sizes; else None."""
    try:
        record = BaseRecord.model_validate_json((folder / RECORD_NAME).read_bytes())
        whole = all((folder / name).stat().st_size == facts.size for name, facts in record.files.items())
    except (OSError, ValidationError, ValueError):
        return None
    return record if whole and record.content_hash == folder.name else None


def _same_content(
    root: Path, folder: Path, sizes: Mapping[str, int], progressed: Progressed
) -> BaseRecord | None:
    """Find a base model that holds these very files, before anything is copied."""
    alike = [
        record
        for one in root.glob("[0-9a-f]*")
        if (record := read_record(one)) and {n: f.size for n, f in record.files.items()} == sizes
    ]
    if not alike:
        return None
    total, done, hashes = sum(sizes.values()), 0, {}
    for name, size in sizes.items():
        count = _counting(progressed, done, total, f"comparing {name}")
        hashes[name] = FileFacts(size=size, sha256=_hash(folder / name, count, most=size))
        done += size
    wanted = content_hash(hashes)
    return next((record for record in alike if record.content_hash == wanted), None)


def _take(
    folder: Path, partial: Path, sizes: Mapping[str, int], origin: Origin, progressed: Progressed
) -> dict[str, FileFacts]:
    total, done, files = sum(sizes.values()), 0, {}
    for name, size in sizes.items():
        count = _counting(progressed, done, total, f"keeping {name}")
        target = partial / name
        if origin.ours and _link(folder / name, target):
            digest = _hash(target, count, most=size)
        else:
            digest = _copy(folder / name, target, count, most=size)
        if target.stat().st_size != size:
            raise UserError(f"{name} changed while it was read. Nothing was kept.", hint="Import it again.")
        files[name] = FileFacts(size=size, sha256=digest)
        done += size
    return files


def _counting(progressed: Progressed, done: int, total: int, what: str) -> Callable[[int], None]:
    return lambda count: progressed(done + count, total, what)


def _copy(source: Path, target: Path, counted: Callable[[int], None], *, most: int) -> str:
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


def _hash(path: Path, counted: Callable[[int], None], *, most: int) -> str:
    hashed, count = hashlib.sha256(), 0
    with open_regular(path) as file:
        while count <= most and (piece := file.read(_CHUNK)):
            hashed.update(piece)
            count += len(piece)
            counted(count)
    return hashed.hexdigest()


def _link(source: Path, target: Path) -> bool:
    """Give a file of ours a second name, where the disk can; it then takes no second room."""
    try:
        target.hardlink_to(source)
    except OSError:
        return False
    return True


def _record(
    facts: FolderFacts,
    told: Told,
    files: Mapping[str, FileFacts],
    origin: Origin,
    name_for: Callable[[str], str],
) -> BaseRecord:
    hashed = content_hash(files)
    tokenizer = files.get("tokenizer.json")
    try:
        return BaseRecord(
            name=name_for(hashed),
            source=origin.source,
            revision=origin.revision,
            family=facts.family,
            parameters=facts.parameters,
            dtype=facts.dtype,
            licence=told.licence,
            licence_text=told.licence_text,
            files=dict(files),
            content_hash=hashed,
            tokenizer_hash=tokenizer.sha256 if tokenizer else "",
            chat_template_hash=told.chat_template_hash,
            imported_at=time.time(),
        )
    except ValidationError as error:
        raise ConfigError(f"The model cannot be recorded: {error}.") from error


def _write_record(folder: Path, record: BaseRecord) -> None:
    fresh = folder / f"{RECORD_NAME}.fresh"
    with fresh.open("x") as file:
        file.write(record.model_dump_json(indent=1) + "\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(folder / RECORD_NAME)
    sync_folder(folder)


def _settle(partial: Path, place: Path) -> bool:
    """Move the finished folder to its place; tell whether it was not there before."""
    with contextlib.suppress(FileNotFoundError):
        if read_record(place):
            return False
        # Something of it is gone: what is complete takes its place.
        broken = place.with_name(f"{DELETED}{place.name[:12]}-{uuid.uuid4().hex}")
        place.rename(broken)
        shutil.rmtree(broken, ignore_errors=True)
    try:
        partial.rename(place)
    except OSError as error:
        # Another import of the same was quicker.
        if error.errno in {errno.EEXIST, errno.ENOTEMPTY} and read_record(place):
            return False
        raise
    sync_folder(place.parent)
    return True
