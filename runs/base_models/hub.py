"""Models from the hub: listed, refused as early as can be, downloaded file by file, and gone on with later.

What is complete lies under its own name, what is not under ``NAME.part``: a download that was cut
off goes on at its last byte. Weights are held against the SHA-256 that the hub tells.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from runs.base_models import hub_files
from runs.base_models.copying import Progressed, quietly
from runs.base_models.hub_errors import explained, library
from runs.base_models.naming import is_repository
from runs.base_models.places import DOWNLOADS, as_size, check_room, ready_root
from training.errors import ConfigError
from training.hf.choosing import CARD, INDEX, choose_files
from training.hf.files import MAX_CONFIG, compare, read_index, read_small, shape_of
from tunix_site.errors import ConflictError, InvalidInputError, UserError

# The small files that tell whether the large ones are worth getting.
MAX_SMALL: Final = 256 << 20
# What progress is called while a file comes that can go on later.
FETCHING: Final = "fetching "


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file of a repository: its size in bytes, and its hash where the hub tells one.

    Large files have a SHA-256, the others the SHA-1 under which git keeps them.
    """

    size: int
    sha256: str
    git_sha1: str


@dataclass(frozen=True, slots=True)
class Listing:
    """A repository at one commit, and the files at its top."""

    repository: str
    commit: str
    files: dict[str, RemoteFile]


@dataclass(frozen=True, slots=True)
class Hub:
    """The hub as it is asked: with which token (empty: what the environment says)."""

    token: str = ""

    def look(self, repository: str, revision: str = "") -> Listing:
        """Ask what a repository holds.

        Raises:
            UserError: when it does not answer, or there is no such repository or revision.
        """
        if not is_repository(repository):
            raise InvalidInputError(f"{repository[:200]!r} is no repository of the hub, OWNER/NAME.")
        with explained(repository, revision):
            api: Any = library().HfApi(endpoint=_endpoint(), token=self.token or None)
            info: Any = api.model_info(
                repository, revision=revision or None, files_metadata=True, timeout=hub_files.TIMEOUT_S
            )
        files = {
            one.rfilename: RemoteFile(
                one.size or 0, one.lfs.sha256 if one.lfs else "", "" if one.lfs else one.blob_id or ""
            )
            for one in info.siblings or []
            if "/" not in one.rfilename
        }
        return Listing(repository, str(info.sha or ""), files)

    @contextlib.contextmanager
    def download(self, listing: Listing, *, progressed: Progressed = quietly) -> Iterator[Path]:
        """Download what is needed of a model and give the folder, held for this process until the end.

        Config and index are looked at first, then the room, then the rest is fetched.

        Raises:
            InvalidInputError: when the model cannot be used, before its weights are fetched.
            ConflictError: when another process downloads the same.
            UserError: when there is no room or the hub does not give it.
        """
        folder = self._folder(listing)
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise ConflictError(f"{listing.repository} is being downloaded just now.") from error
            try:
                self._fetch_all(listing, folder, progressed)
            except ConfigError as error:
                raise InvalidInputError(f"{listing.repository} cannot be imported. {error}") from error
            yield folder

    def forget(self, listing: Listing) -> None:
        """Remove a download that is needed no longer."""
        folder = self._folder(listing)
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            folder.parent.rmdir()

    def _folder(self, listing: Listing) -> Path:
        # The commit comes from a server, and stands in a path.
        commit = hashlib.sha256(listing.commit.encode()).hexdigest()[:16]
        return ready_root() / DOWNLOADS / listing.repository.replace("/", "--") / commit

    def _fetch_all(self, listing: Listing, folder: Path, progressed: Progressed) -> None:
        chosen = choose_files(listing.files)
        small = ["config.json", *([INDEX] if chosen.weights == INDEX else [])]
        for name in small:
            if listing.files[name].size > MAX_SMALL:
                raise ConfigError(f"{name} has {listing.files[name].size:,} bytes, which no such file needs.")
            self._fetch(listing, name, folder, quietly, 0, 0)
        weights = _weights(folder, chosen.weights)
        missing = sorted(weights - listing.files.keys())
        if missing:
            raise ConfigError(f"The repository lacks {', '.join(missing[:5])}, which its index names.")
        beside = {*chosen.companions, *chosen.licences, *({CARD} & listing.files.keys())}
        names = [*small, *sorted(beside - set(small)), *sorted(weights)]
        total = sum(listing.files[name].size for name in names)
        here = sum(_have(folder, name) for name in names)
        check_room(folder, max(0, total - here), f"{listing.repository}, {as_size(total)},")
        done = 0
        for name in names:
            self._fetch(listing, name, folder, progressed, done, total)
            done += listing.files[name].size

    def _fetch(
        self, listing: Listing, name: str, folder: Path, progressed: Progressed, done: int, total: int
    ) -> None:
        target, part, file = folder / name, folder / f"{name}.part", listing.files[name]
        if target.exists() and target.stat().st_size == file.size:
            return
        with explained(listing.repository, listing.commit, name):
            hub_files.fetch(
                library().hf_hub_url(listing.repository, name, revision=listing.commit, endpoint=_endpoint()),
                part,
                size=file.size,
                headers=library().utils.build_hf_headers(token=self.token or None),
                counted=lambda count: progressed(done + count, total, f"{FETCHING}{name}"),
            )
        if wrong := _differs(part, file):
            part.unlink()
            raise UserError(
                f"{name} of {listing.repository} came otherwise than the hub tells ({wrong}).",
                hint="Import it again: that file will be fetched anew.",
            )
        part.rename(target)


def _weights(folder: Path, weights: str) -> set[str]:
    """Look at config and index; give the names of the weight files."""
    shape = shape_of(read_small(folder / "config.json", MAX_CONFIG))
    if weights != INDEX:
        return {weights}
    index = read_index(folder / INDEX)
    problems, _ = compare(dict.fromkeys(index), shape, told_by="The tensors of the index")
    if problems:
        raise ConfigError(problems)
    return set(index.values())


def _endpoint() -> str | None:
    # The library reads it only once, when it is loaded.
    return os.environ.get("HF_ENDPOINT") or None


def _have(folder: Path, name: str) -> int:
    for path in (folder / name, folder / f"{name}.part"):
        with contextlib.suppress(FileNotFoundError):
            return path.stat().st_size
    return 0


def _differs(path: Path, told: RemoteFile) -> str:
    """Hold a file against the hash that the hub tells; gives the kind of hash that differs, or nothing."""

    def begun() -> Any:
        if told.sha256:
            return hashlib.sha256()
        # What git writes before a content that it hashes.
        return hashlib.sha1(b"blob %d\0" % told.size, usedforsecurity=False)

    wanted = told.sha256 or told.git_sha1
    if not wanted:
        return ""
    with path.open("rb") as file:
        same = hashlib.file_digest(file, begun).hexdigest() == wanted
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return "" if same else "SHA-256" if told.sha256 else "git's SHA-1"
