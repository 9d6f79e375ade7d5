"""A model's folder becomes a base model: copied and hashed into the artifacts, whole or not at all."""

import contextlib
import errno
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from runs.base_models.copying import (
    Progressed,
    copy_file,
    counting,
    damaged_files,
    hash_file,
    link_file,
    quietly,
    replace_files,
)
from runs.base_models.licences import Told, read_told
from runs.base_models.places import DELETED, check_room, partial_folder, ready_root, sync_folder
from training.bases import RECORD_NAME, BaseRecord, FileFacts, content_hash
from training.errors import ConfigError
from training.hf.files import FolderFacts, check_tied, inspect_folder
from training.hf.headers import open_regular
from tunix_site.errors import UserError


@dataclass(frozen=True, slots=True)
class Placed:
    """A base model that lies in the artifacts; ``created``: it was not there before.

    ``mended`` names those of its files that were damaged and are sound again.
    """

    record: BaseRecord
    created: bool
    mended: tuple[str, ...] = ()


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

    ``name_for`` gives the name, by the content hash. The finished folder appears by one rename. Where the
    same content lies already its files are read too, and those that are damaged are replaced.

    Raises:
        ConfigError: when the model cannot be used.
        UserError: when there is no room for it or a file changed meanwhile.
    """
    facts = inspect_folder(folder)
    check_tied(facts)
    told = read_told(folder)
    sizes = _sizes(folder, facts.files)
    total = sum(sizes.values())
    root = ready_root()
    try:
        if there := _same_content(root, folder, sizes, progressed):
            name_for(there.content_hash)
            return Placed(there, created=False, mended=_mend(root, folder, there, progressed))
        if not origin.ours:
            check_room(root, total, "The model")
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
    named = record.content_hash == folder.name == content_hash(record.files)
    return record if whole and named else None


def _sizes(folder: Path, names: Iterable[str]) -> dict[str, int]:
    """Find the sizes of files.

    Raises:
        ConfigError: for one that is no regular file.
    """
    sizes = {}
    for name in names:
        with open_regular(folder / name) as file:
            sizes[name] = os.fstat(file.fileno()).st_size
    return sizes


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
    # Should they be the same, those that lie here are read as well.
    total, done, hashes = 2 * sum(sizes.values()), 0, {}
    for name, size in sizes.items():
        count = counting(progressed, done, total, f"comparing {name}")
        hashes[name] = FileFacts(size=size, sha256=hash_file(folder / name, count, most=size))
        done += size
    wanted = content_hash(hashes)
    return next((record for record in alike if record.content_hash == wanted), None)


def _mend(root: Path, folder: Path, there: BaseRecord, progressed: Progressed) -> tuple[str, ...]:
    """Read the files that lie here, and replace those that are not what their record says."""
    place = root / there.content_hash
    whole = sum(facts.size for facts in there.files.values())
    damaged = damaged_files(place, there.files, progressed, done=whole)
    if damaged:
        check_room(root, sum(there.files[name].size for name in damaged), "Mending the model")
        with partial_folder(root) as fresh:
            if not replace_files(folder, fresh, place, damaged, there.files):
                raise UserError("A file changed while it was read.", hint="Import it again.")
            sync_folder(place)
    return tuple(damaged)


def _take(
    folder: Path, partial: Path, sizes: Mapping[str, int], origin: Origin, progressed: Progressed
) -> dict[str, FileFacts]:
    total, done, files, linked = sum(sizes.values()), 0, {}, origin.ours
    for name, size in sizes.items():
        count = counting(progressed, done, total, f"keeping {name}")
        target = partial / name
        if linked and not link_file(folder / name, target):
            # A disk that cannot link holds all of it twice for a while.
            linked = False
            check_room(partial.parent, total - done, "The model")
        if linked:
            digest = hash_file(target, count, most=size)
        else:
            digest = copy_file(folder / name, target, count, most=size)
        if target.stat().st_size != size:
            raise UserError(f"{name} changed while it was read. Nothing was kept.", hint="Import it again.")
        files[name] = FileFacts(size=size, sha256=digest)
        done += size
    return files


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
