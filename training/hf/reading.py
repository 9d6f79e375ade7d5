"""The weights of a folder as a stream of tensors, for whoever puts them on a device. Imports no JAX.

Plain reads into memory that the receiver owns: no page of the file stays in this process. So the host
holds what the receiver keeps and about one tensor more.
"""

from collections.abc import Iterator
from io import BufferedReader
from itertools import groupby
from pathlib import Path

import numpy as np

from training.errors import ConfigError
from training.hf.headers import Place, open_regular
from training.hf.names import Tensor, tensors_of
from training.hf.recorded import inspect_model
from training.model_config import ModelConfig


def stream(folder: Path, shape: ModelConfig) -> Iterator[tuple[Tensor, np.ndarray]]:
    """Yield each tensor of a model exactly once, file by file in the order of the bytes.

    The arrays have the layout and the type of the file (fp32, fp16 or bf16) and belong to the receiver.
    All is checked before the first one comes: what is missing, left over, or of another shape or type.

    Raises:
        ConfigError: as `training.hf.recorded.inspect_model`, and for a file that changes while it is read.
    """
    facts = inspect_model(folder, shape)
    return _read_all(list(facts.places.values()), {tensor.theirs: tensor for tensor in tensors_of(shape)})


def numpy_type(stored: str) -> np.dtype:
    """Return the type of numbers that a file calls F32, F16 or BF16."""
    if stored == "BF16":
        import ml_dtypes

        brain: np.dtype = np.dtype(ml_dtypes.bfloat16)
        return brain
    return np.dtype({"F32": np.float32, "F16": np.float16}[stored])


def read_place(place: Place) -> np.ndarray:
    """Read one tensor as it is stored.

    Raises:
        ConfigError: as `stream`.
    """
    with open_regular(place.path) as file:
        return _read(file, place)


def _read_all(used: list[Place], wanted: dict[str, Tensor]) -> Iterator[tuple[Tensor, np.ndarray]]:
    for path, group in groupby(used, key=lambda place: place.path):
        with open_regular(path) as file:
            for place in group:
                # Not kept here: the receiver's is the only reference.
                yield wanted[place.name], _read(file, place)


def _read(file: BufferedReader, place: Place) -> np.ndarray:
    array: np.ndarray = np.empty(place.shape, numpy_type(place.dtype))
    _fill(file, place.begin, memoryview(array.reshape(-1).view(np.uint8)), place)
    return array


def _fill(file: BufferedReader, start: int, into: memoryview, place: Place) -> None:
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
