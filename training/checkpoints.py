"""The layout of checkpoints on disk: finding, reading, verifying and thinning them out.

``root/<step>/`` holds ``state/`` (Orbax) and ``metadata.json``, which lists size and SHA-256
of every other file, and a hash of itself. The directory gets its name only when all of it is on the
disk, so a number as name means complete; names with a leading dot are work in progress or set aside. An empty
file ``.pinned`` beside the metadata keeps a checkpoint from being thinned out, and so does ``.held``, which
lists the names that point at it.
Imports no JAX, so the site reads it too.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from training.errors import CheckpointError
from training.ownership import require_owner

FORMAT_VERSION: Final = 2
METADATA_NAME: Final = "metadata.json"
STATE_NAME: Final = "state"
PARTIAL_PREFIX: Final = ".partial-"
ASIDE_PREFIX: Final = ".set-aside-"
REMOVING_PREFIX: Final = ".removing-"
PIN_NAME: Final = ".pinned"
HELD_NAME: Final = ".held"
# The entry of the metadata that holds the SHA-256 of all the others.
_OWN_DIGEST: Final = "metadata_sha256"

_STEP_NAME: Final = re.compile(r"0|[1-9][0-9]*")
_BLOCK: Final = 1 << 20


def step_dirs(root: Path) -> list[tuple[int, Path]]:
    """List (step, directory) under the root, newest first, without looking inside."""
    if not root.is_dir():
        return []
    found = [(int(path.name), path) for path in root.iterdir() if _STEP_NAME.fullmatch(path.name)]
    return sorted(((step, path) for step, path in found if path.is_dir()), reverse=True)


def newest_sound_step_dir(root: Path) -> Path | None:
    """Return the newest checkpoint whose every file has its recorded size and hash, else None."""
    return next((path for _, path in step_dirs(root) if not _damage(path)), None)


def set_aside_damaged(root: Path, *, run_uid: str = "") -> tuple[Path | None, dict[int, str]]:
    """Find the newest sound checkpoint, and set aside the newer ones that are damaged or not this run's.

    Returns:
        The checkpoint, or None, and for each step that was set aside what is wrong with it and
        under which name it lies now.
    """
    damaged: dict[int, str] = {}
    for step, path in step_dirs(root):
        reason = _damage(path, run_uid)
        if not reason:
            return path, damaged
        damaged[step] = f"{reason} It lies now in {set_aside(path).name}."
    return None, damaged


def damaged_step_dirs(root: Path, *, run_uid: str = "") -> dict[Path, str]:
    """Name the checkpoints under the root that its run cannot use, with the reason."""
    return {path: reason for _, path in step_dirs(root) if (reason := _damage(path, run_uid))}


def _damage(step_dir: Path, run_uid: str = "") -> str:
    try:
        metadata = verify(step_dir)
    except CheckpointError as error:
        return str(error)
    # Older ones do not say whose they are.
    if run_uid and metadata.get("run_uid", run_uid) != run_uid:
        return f"Checkpoint {step_dir} is of another run (number {metadata.get('run_id')} where it was made)."
    return ""


def read_metadata(step_dir: Path) -> dict[str, Any]:
    """Read what a checkpoint says about itself.

    Raises:
        CheckpointError: when there is no checkpoint, its metadata cannot be read, or it was
            written by a newer format.
    """
    path = step_dir / METADATA_NAME
    try:
        metadata = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        reason = "has no metadata.json" if step_dir.is_dir() else "does not exist"
        raise CheckpointError(f"{step_dir} is no complete checkpoint: it {reason}.") from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"Checkpoint {step_dir} is damaged: {METADATA_NAME}: {error}.") from error
    if not isinstance(metadata, dict) or not isinstance(metadata.get("files"), dict):
        raise CheckpointError(f"Checkpoint {step_dir} is damaged: {METADATA_NAME} lists no files.")
    version = metadata.get("format_version")
    if version != FORMAT_VERSION:
        raise CheckpointError(
            f"Checkpoint {step_dir} has format version {version!r}; this version of the project reads "
            f"{FORMAT_VERSION}. Use the version that wrote it."
        )
    digest = metadata.pop(_OWN_DIGEST, None)
    if digest is not None and digest != _digest(metadata):
        raise CheckpointError(
            f"Checkpoint {step_dir} is damaged: {METADATA_NAME} has other values than written."
        )
    return metadata


def verify(step_dir: Path) -> dict[str, Any]:
    """Check every file against its recorded size and hash, and return the metadata.

    Raises:
        CheckpointError: naming the checkpoint, the first file that differs and how.
    """
    metadata = read_metadata(step_dir)
    if str(metadata.get("step")) != step_dir.name:
        raise CheckpointError(
            f"Checkpoint {step_dir} is damaged: its metadata belong to step {metadata.get('step')}."
        )
    for name, expected in metadata["files"].items():
        path = step_dir / name
        try:
            size = path.stat().st_size
            if size != expected["size"]:
                raise CheckpointError(
                    f"Checkpoint {step_dir} is damaged: {name} has {size:,} bytes, not {expected['size']:,}."
                )
            if _sha256(path) != expected["sha256"]:
                raise CheckpointError(
                    f"Checkpoint {step_dir} is damaged: {name} has other bytes than written."
                )
        except FileNotFoundError:
            raise CheckpointError(f"Checkpoint {step_dir} is damaged: {name} is missing.") from None
        except (OSError, TypeError, KeyError) as error:
            raise CheckpointError(f"Checkpoint {step_dir} cannot be read: {name}: {error}.") from error
    return metadata


def seal(partial: Path, final: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Make a written directory a checkpoint: hash and sync its files, add metadata, give it its name.

    An older directory of that name is replaced. Returns the metadata.

    Raises:
        CheckpointError: when a later attempt than the one in ``facts`` has taken the folder over.
    """
    files = {}
    for path in sorted(path for path in partial.rglob("*") if path.is_file()):
        files[path.relative_to(partial).as_posix()] = {"size": path.stat().st_size, "sha256": _sha256(path)}
        _sync(path)
    metadata = {**facts, "format_version": FORMAT_VERSION, "files": files}
    _write_metadata(partial / METADATA_NAME, metadata)
    for directory in (path for path in partial.rglob("*") if path.is_dir()):
        _sync(directory)
    _sync(partial)
    if "attempt" in facts:
        require_owner(final.parent, int(facts["attempt"]))
    if final.exists():
        set_aside(final)
    partial.rename(final)
    _sync(final.parent)
    return metadata


def amend(step_dir: Path, **facts: Any) -> None:
    """Change facts in a checkpoint's metadata, in one atomic replacement."""
    metadata = {**read_metadata(step_dir), **facts}
    fresh = step_dir / f".{METADATA_NAME}"
    _write_metadata(fresh, metadata)
    fresh.replace(step_dir / METADATA_NAME)
    _sync(step_dir)


def size_of(step_dir: Path) -> int:
    """Add up the bytes of all files of a checkpoint."""
    return sum(path.stat().st_size for path in step_dir.rglob("*") if path.is_file())


def set_aside(step_dir: Path) -> Path:
    """Rename a checkpoint so that nothing takes it for one any more; its files stay."""
    number = 0
    while (target := step_dir.with_name(f"{ASIDE_PREFIX}{step_dir.name}-{number}")).exists():
        number += 1
    return step_dir.rename(target)


def leftovers(root: Path) -> list[Path]:
    """List what interrupted saves and deletions left under the root."""
    return [path for prefix in (PARTIAL_PREFIX, REMOVING_PREFIX) for path in root.glob(f"{prefix}*")]


def prepare_root(root: Path, *, after_step: int) -> dict[int, Path]:
    """Make the root ready for a start after the given step, and return what was set aside, by step.

    Leftovers of interrupted saves and deletions are removed. Later checkpoints are set aside:
    this start overtakes them, and the next resume must not go back to them.
    """
    root.mkdir(parents=True, exist_ok=True)
    for path in leftovers(root):
        shutil.rmtree(path, ignore_errors=True)
    return {step: set_aside(path) for step, path in step_dirs(root) if step > after_step}


def remove(step_dir: Path) -> int:
    """Delete a checkpoint and return the bytes that this freed.

    It loses its name first, so that one half deleted is never taken for a checkpoint.
    """
    doomed = step_dir.with_name(f"{REMOVING_PREFIX}{step_dir.name}")
    shutil.rmtree(doomed, ignore_errors=True)
    step_dir.rename(doomed)
    size = size_of(doomed)
    shutil.rmtree(doomed)
    return size


def is_pinned(step_dir: Path) -> bool:
    """Tell whether somebody wants to keep a checkpoint whatever the retention says."""
    return (step_dir / PIN_NAME).exists()


def pin(step_dir: Path, *, pinned: bool) -> None:
    """Pin a checkpoint, or let it go again; a file of its own, for its run may be writing metadata."""
    if pinned:
        (step_dir / PIN_NAME).touch()
    else:
        (step_dir / PIN_NAME).unlink(missing_ok=True)


def is_held(step_dir: Path) -> bool:
    """Tell whether a name points at a checkpoint, so that it stays whatever the retention says."""
    return (step_dir / HELD_NAME).exists()


def hold(step_dir: Path, *, names: Sequence[str]) -> None:
    """Write down which names point at a checkpoint; with none it is let go."""
    if names:
        (step_dir / HELD_NAME).write_text("".join(f"{name}\n" for name in names), "utf-8")
    else:
        (step_dir / HELD_NAME).unlink(missing_ok=True)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _write_metadata(path: Path, value: Mapping[str, Any]) -> None:
    plain = json.loads(json.dumps(value))
    whole = {**plain, _OWN_DIGEST: _digest(plain)}
    path.write_text(json.dumps(whole, indent=1, sort_keys=True, allow_nan=False) + "\n", "utf-8")
    _sync(path)


def _digest(metadata: Mapping[str, Any]) -> str:
    """Hash what metadata say, whatever their layout."""
    text = json.dumps(metadata, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
