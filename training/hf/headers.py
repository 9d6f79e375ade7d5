"""The header of a safetensors file: what lies where, checked in full before anything relies on it.

Imports neither JAX nor numpy. The format: 8 bytes with the header's length, the header as JSON, then
the tensors' bytes without gaps (https://github.com/huggingface/safetensors).
"""

import json
import math
import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, Final, NoReturn, TypeGuard

from training.errors import ConfigError

# Far beyond any real header (100 bytes a tensor), and little enough to be read by anybody.
MAX_HEADER: Final = 4 << 20
SIZES: Final[Mapping[str, int]] = {"F32": 4, "BF16": 2, "F16": 2}
_OTHERS: Final = frozenset(
    {"BOOL", "U8", "I8", "I16", "U16", "I32", "U32", "I64", "U64", "F64", "F8_E5M2", "F8_E4M3", "F8_E8M0"}
    | {"F8_E4M3FNUZ", "F8_E5M2FNUZ", "F4", "F6_E2M3", "F6_E3M2", "C64"}
)
_LARGEST: Final = 2**63 - 1
_HALF: Final = re.compile(rb"\\u[dD][89a-fA-F]")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tensor lies: file, type as the file calls it, first byte in the file, number of bytes."""

    name: str
    path: Path
    dtype: str
    shape: tuple[int, ...]
    begin: int
    size: int


def read_header(path: Path) -> dict[str, Place]:
    """Read which tensors a file holds, in the order of their bytes, without reading any of them.

    Raises:
        ConfigError: when it is no sound safetensors file, or a tensor has a type that is not read.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        if size < 10:
            raise ConfigError(f"{path.name} is cut off: it has {size} bytes. Get the file again.")
        if length > MAX_HEADER:
            raise ConfigError(
                f"{path.name} is no safetensors file: its header would have {length:,} bytes, and "
                f"at most {MAX_HEADER:,} are read."
            )
        if 8 + length > size:
            raise ConfigError(
                f"{path.name} is cut off: its header has {length:,} bytes, the file {size:,}. Get it again."
            )
        header = read_json(file.read(length), path.name)
    header.pop("__metadata__", None)
    found = [_place(path, name, facts, 8 + length) for name, facts in header.items()]
    found.sort(key=lambda place: (place.begin, place.size))
    _check_cover(path.name, found, 8 + length, size)
    return {place.name: place for place in found}


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file for reading, following links; a pipe or a device is refused and never waited for.

    Raises:
        ConfigError: when it is missing, unreadable or no regular file.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        why = "leads to nothing" if path.is_symlink() and not path.exists() else error.strerror
        raise ConfigError(f"{path.name} cannot be read: {why}.") from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise ConfigError(f"{path.name} is no regular file.")
    return os.fdopen(handle, "rb")


def read_json(raw: bytes, name: str) -> dict[str, Any]:
    """Read a JSON object in which every key stands once and every number is finite.

    Raises:
        ConfigError: naming the file, for anything else.
    """

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not JSON")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key, value in pairs:
            if key in made:
                raise ValueError(f"{key[:100]!r} is there twice")
            made[key] = value
        return made

    try:
        value = json.loads(raw.decode(), parse_constant=refuse, object_pairs_hook=once)
        if _HALF.search(raw):
            # What stands for no character can neither be written to a file nor kept by a database.
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise ConfigError(
            f"{name} holds half of a surrogate pair (\\ud800 to \\udfff), which is no text. Correct it."
        ) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{name} holds no sound JSON: {str(error)[:300]}.") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{name} must hold a JSON object.")
    return value


def _place(path: Path, name: str, facts: Any, data: int) -> Place:
    known = facts if isinstance(facts, dict) else {}
    dtype, shape, span = known.get("dtype"), known.get("shape"), known.get("data_offsets")
    what = f"{path.name}: the tensor {name[:200]!r}"
    if not _numbers(shape) or not _numbers(span) or len(span) != 2 or span[0] > span[1]:
        raise ConfigError(f"{what} has no sound shape and data_offsets.")
    if not isinstance(dtype, str) or dtype not in SIZES:
        kind = f"is stored as {dtype}" if str(dtype) in _OTHERS else "has no type that is known"
        raise ConfigError(
            f"{what} {kind}; only {', '.join(SIZES)} are read. Import the model that was not quantised."
        )
    size = span[1] - span[0]
    if math.prod(shape) * SIZES[dtype] != size:
        raise ConfigError(f"{what} has {size:,} bytes, which is not its shape {shape} in {dtype}.")
    return Place(name, path, dtype, tuple(shape), data + span[0], size)


def _numbers(values: Any) -> TypeGuard[list[int]]:
    return (
        isinstance(values, list)
        and len(values) <= 16
        and all(type(one) is int and 0 <= one <= _LARGEST for one in values)
    )


def _check_cover(file: str, places: Sequence[Place], begin: int, end: int) -> None:
    """Check that the tensors, in the order of their bytes, lie one behind the other and fill the file."""
    at = begin
    for place in places:
        if place.begin != at:
            how = "overlaps another one" if place.begin < at else "leaves a gap before it"
            raise ConfigError(f"{file}: the tensor {place.name[:200]!r} {how}. The file is damaged.")
        at += place.size
    if at != end:
        what = "cut off" if at > end else "damaged: bytes follow its last tensor"
        raise ConfigError(
            f"{file} is {what}. Its tensors end at byte {at:,}, it has {end:,}. Get the file again."
        )
