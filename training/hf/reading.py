"""The weights of a folder as a stream of tensors, for whoever puts them on a device. Imports no JAX.

Plain reads into memory that the receiver owns: no page of the file stays in this process. So the host
holds what the receiver keeps and about one tensor more.
"""

from collections.abc import Iterator
from io import FileIO
from itertools import groupby
from pathlib import Path
from typing import Final

import numpy as np

from training.errors import ConfigError
from training.hf.accounting import EMBEDDING, HEAD, account
from training.hf.names import Tensor
from training.hf.shards import Place, places
from training.model_config import ModelConfig

# Bytes compared at a time; a multiple of every item's size.
_CHUNK: Final = 1 << 22


def stream(folder: Path, shape: ModelConfig) -> Iterator[tuple[Tensor, np.ndarray]]:
    """Yield each tensor of a model exactly once, file by file in the order of the bytes.

    The arrays have the layout and the type of the file (fp32, fp16 or bf16) and belong to the receiver.
    All is checked before the first one comes: what is missing, left over, or of another shape or type.

    Raises:
        ConfigError: as `training.hf.shards.places` and `training.hf.accounting.account`; for another
            type of numbers, and for a file that changes while it is read.
    """
    found = {place.name: place for place in places(folder)}
    wanted = account(
        {name: place.shape for name, place in found.items()},
        shape,
        head_repeats_embedding=lambda: same_numbers(found[HEAD], found[EMBEDDING]),
    )
    used = [place for place in found.values() if place.name in wanted]
    for place in used:
        numpy_type(place.dtype, where=f"{place.path}: {place.name}")
    return _read_all(used, wanted)


def numpy_type(stored: str, *, where: str) -> np.dtype:
    """Return the type of numbers that a file calls F32, F16 or BF16.

    Raises:
        ConfigError: for any other, saying where it was found.
    """
    if stored == "BF16":
        import ml_dtypes

        brain: np.dtype = np.dtype(ml_dtypes.bfloat16)
        return brain
    if stored not in ("F32", "F16"):
        raise ConfigError(f"{where} is stored as {stored}; only F32, F16 and BF16 are supported.")
    return np.dtype(np.float32 if stored == "F32" else np.float16)


def same_numbers(one: Place, other: Place) -> bool:
    """Compare two tensors of the same shape, a few megabytes at a time.

    Raises:
        ConfigError: as `stream`.
    """
    types = [numpy_type(place.dtype, where=f"{place.path}: {place.name}") for place in (one, other)]
    numbers = one.size // types[0].itemsize
    step = _CHUNK // 4
    with _open(one.path) as first, _open(other.path) as second:
        for begin in range(0, numbers, step):
            parts = []
            for place, file, kind in ((one, first, types[0]), (other, second, types[1])):
                part = np.empty(min(step, numbers - begin), kind)
                _fill(file, place.start + begin * kind.itemsize, memoryview(part.view(np.uint8)), place)
                parts.append(part)
            if not np.array_equal(parts[0], parts[1]):
                return False
    return True


def read_place(place: Place) -> np.ndarray:
    """Read one tensor as it is stored.

    Raises:
        ConfigError: as `stream`.
    """
    with _open(place.path) as file:
        return _read(file, place)


def _read_all(used: list[Place], wanted: dict[str, Tensor]) -> Iterator[tuple[Tensor, np.ndarray]]:
    for path, group in groupby(used, key=lambda place: place.path):
        with _open(path) as file:
            for place in group:
                # Not kept here: the receiver's is the only reference.
                yield wanted[place.name], _read(file, place)


def _open(path: Path) -> FileIO:
    try:
        return FileIO(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error}.") from error


def _read(file: FileIO, place: Place) -> np.ndarray:
    array: np.ndarray = np.empty(place.shape, numpy_type(place.dtype, where=f"{place.path}: {place.name}"))
    _fill(file, place.start, memoryview(array.reshape(-1).view(np.uint8)), place)
    return array


def _fill(file: FileIO, start: int, into: memoryview, place: Place) -> None:
    """Fill memory with the bytes from a place on; one read may give fewer than asked for."""
    done = 0
    try:
        file.seek(start)
        while done < len(into):
            got = file.readinto(into[done:])
            if not got:
                raise ConfigError(
                    f"{place.path} ends within {place.name}: it was changed while it was read. Get it anew."
                )
            done += got
    except OSError as error:
        raise ConfigError(f"{place.path} cannot be read: {error}.") from error
