"""Opening a file, packed or not: a stream of what is inside, and plain words where it is damaged."""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from datasets_app.imports.errors import UnfitFileError

GZIP_MAGIC, ZSTD_MAGIC, ZIP_MAGIC = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK\x03\x04"
BUFFER = 1 << 20
# zstd makes up to 128 KiB of four bytes, and its unpackers give all that their input holds.
BITE = 512
_ARCHIVES = {ZIP_MAGIC: "zip", b"7z\xbc\xaf": "7z", b"BZh": "bzip2", b"\xfd7zXZ": "xz"}


def inner_name(name: str) -> str:
    """Give the name of what a packed file holds."""
    for suffix in (".gz", ".zst", ".zstd"):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


def unpacked(raw: io.BufferedReader, name: str) -> io.BufferedReader:
    """Give the content of an open file; by its first bytes, for names can be wrong.

    Raises:
        UnfitFileError: for an archive, or zstd where nothing can read it.
    """
    start = raw.peek(8)[:8]
    for magic, kind in _ARCHIVES.items():
        if start.startswith(magic):
            raise UnfitFileError(
                f"{name} is a {kind} archive.", hint="Unpack it; .gz and .zst are read as they are."
            )
    if start.startswith(GZIP_MAGIC):
        return io.BufferedReader(cast("Any", gzip.GzipFile(fileobj=raw)), BUFFER)
    if start.startswith(ZSTD_MAGIC):
        return io.BufferedReader(_ZstdStream(raw, name), BUFFER)
    for suffix, kind in ((".gz", "gzip"), (".zst", "zstd")):
        if name.lower().endswith(suffix):
            raise UnfitFileError(f"{name} ends in {suffix}, but its content is not {kind} data.")
    return raw


@contextmanager
def open_file(path: Path) -> Iterator["io.BufferedReader[Any]"]:
    """Open a file to read.

    Raises:
        UnfitFileError: if it cannot be opened.
    """
    if path.is_dir():
        raise UnfitFileError(f"{path} is a folder; name one file.")
    try:
        raw: io.BufferedReader[Any] = io.BufferedReader(path.open("rb", buffering=0), BUFFER)
    except OSError as error:
        raise UnfitFileError(f"{path} cannot be read: {error.strerror}.") from error
    with raw:
        yield raw


@contextmanager
def damage_named(name: str) -> Iterator[None]:
    """Turn what unpackers raise into one sentence."""
    try:
        yield
    except EOFError as error:
        raise UnfitFileError(
            f"{name}: the gzip data end in the middle: the file was cut off.", hint="Fetch it again."
        ) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise UnfitFileError(
            f"{name}: the gzip data are damaged ({error}).", hint="Fetch it again."
        ) from error
    except OSError as error:
        raise UnfitFileError(f"{name} cannot be read: {error.strerror or error}.") from error


def _decompressor(name: str) -> Any:
    try:
        from compression import zstd  # type: ignore[import-not-found,unused-ignore]  # Python 3.14 and later

        return zstd.ZstdDecompressor()
    except ImportError:
        pass
    try:
        import zstandard
    except ImportError:
        raise UnfitFileError(
            f"{name} is packed with zstd, which this installation cannot read.",
            hint="Install the extra “parquet” (it brings zstandard), use Python 3.14, or unpack the file.",
        ) from None
    return zstandard.ZstdDecompressor().decompressobj()


class _ZstdStream(io.RawIOBase):
    """The content of zstd frames, one after the other; a frame that does not end is an error."""

    def __init__(self, raw: io.BufferedReader, name: str) -> None:
        self._raw = raw
        self._name = name
        self._unpacker = _decompressor(name)
        self._begun = False
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        """It is a stream to read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer with what comes next."""
        while not self._ready:
            packed = self._next_packed()
            if not packed:
                if self._begun and not self._unpacker.eof:
                    raise UnfitFileError(
                        f"{self._name}: the zstd data end in the middle: the file was cut off.",
                        hint="Fetch it again.",
                    )
                return 0
            self._begun = True
            try:
                self._ready = memoryview(self._unpacker.decompress(packed))
            except Exception as error:  # the two libraries have no error class in common
                raise UnfitFileError(
                    f"{self._name}: the zstd data are damaged ({error}).", hint="Fetch it again."
                ) from error
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def _next_packed(self) -> bytes:
        if self._unpacker.eof:
            left: bytes = self._unpacker.unused_data
            following = left or self._raw.read(BITE)
            if following:
                self._unpacker = _decompressor(self._name)
            return following
        return self._raw.read(BITE)
