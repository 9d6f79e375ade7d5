"""Weights as safetensors files, cut into shards, with one tensor in memory at a time. Imports no JAX."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from training.hf.choosing import INDEX, SINGLE
from training.hf.formats import MAX_SHARD_BYTES
from training.hf.headers import SIZES, read_header
from training.hf.reading import numpy_type

# Readers take a file without it for one of another framework.
_METADATA: Final = {"format": "pt"}


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor as it will be stored: its name, its type (F32, F16 or BF16) and its shape."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Its bytes."""
        product = SIZES[self.dtype]
        for length in self.shape:
            product *= length
        return product


def write_weights(
    folder: Path,
    tensors: Sequence[Stored],
    fetch: Callable[[Stored], np.ndarray],
    *,
    max_shard_bytes: int = MAX_SHARD_BYTES,
) -> list[str]:
    """Write tensors as ``model.safetensors``, or as several files with an index where they need more room.

    ``fetch`` is asked for each tensor once, in the order of the files; each array is let go before the next.

    Returns:
        The names of the files.

    Raises:
        OSError: when the disk refuses.
        ValueError: when an array is not what was announced.
    """
    shards = _cut(tensors, max_shard_bytes)
    if len(shards) == 1:
        write_file(folder / SINGLE, shards[0], fetch)
        return [SINGLE]
    where: dict[str, str] = {}
    for number, shard in enumerate(shards, 1):
        name = f"model-{number:05}-of-{len(shards):05}.safetensors"
        write_file(folder / name, shard, fetch)
        where |= {one.name: name for one in shard}
    index = {
        "metadata": {"total_size": sum(one.size for one in tensors)},
        "weight_map": dict(sorted(where.items())),
    }
    (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n", "utf-8")
    return [*sorted(set(where.values())), INDEX]


def write_file(path: Path, tensors: Sequence[Stored], fetch: Callable[[Stored], np.ndarray]) -> None:
    """Write one safetensors file, and check its header once it is on the disk.

    Raises:
        As `write_weights`.
    """
    # Wide numbers first, so that every tensor begins at a multiple of its item's size.
    ordered = sorted(tensors, key=lambda one: (-SIZES[one.dtype], one.name))
    head: dict[str, object] = {"__metadata__": _METADATA}
    start = 0
    for one in ordered:
        head[one.name] = {"dtype": one.dtype, "shape": one.shape, "data_offsets": [start, start + one.size]}
        start += one.size
    told = json.dumps(head, separators=(",", ":")).encode()
    told += b" " * (-len(told) % 8)
    with path.open("xb") as file:
        file.write(len(told).to_bytes(8, "little") + told)
        for one in ordered:
            file.write(_bytes(one, fetch(one)))
        file.flush()
        os.fsync(file.fileno())
    read_header(path)


def _bytes(one: Stored, array: np.ndarray) -> memoryview:
    """Show the bytes of an array, little-endian, row by row."""
    if array.shape != one.shape or array.dtype.name != numpy_type(one.dtype).name:
        raise ValueError(
            f"{one.name} should be {one.dtype} {one.shape}, and is {array.dtype.name} {array.shape}"
        )
    plain = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False))
    return memoryview(plain.reshape(-1).view(np.uint8))


def _cut(tensors: Sequence[Stored], most: int) -> list[list[Stored]]:
    """Fill one shard after the other in the given order; a tensor that is larger has one for itself."""
    shards: list[list[Stored]] = [[]]
    room = most
    for one in tensors:
        if one.size > room and shards[-1]:
            shards.append([])
            room = most
        shards[-1].append(one)
        room -= one.size
    return shards
