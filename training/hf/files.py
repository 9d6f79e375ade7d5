"""A Hugging Face model folder, looked at before any of its numbers is read. Imports no JAX.

Only ``config.json``, the index and the headers of the safetensors files are read; nothing is unpickled.
"""

import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from training.errors import ConfigError
from training.hf.choosing import INDEX, choose_files
from training.hf.families import model_config_from_hf
from training.hf.headers import SIZES, Place, open_regular, read_header, read_json
from training.hf.names import EMBEDDING, HEAD, tensors_of
from training.model_config import ModelConfig

MAX_CONFIG: Final = 4 << 20
MAX_INDEX: Final = 64 << 20
# What is listed for each layer must fit into memory, whatever a config claims.
MAX_LAYERS: Final = 1000
HEAD_DIFFERS: Final = (
    f"config.json says that {HEAD} is the embedding (tie_word_embeddings), but both are stored "
    "and differ. Set tie_word_embeddings to false in config.json if the model is not tied."
)
# Numbers compared at a time.
_CHUNK: Final = 1 << 18
_LISTED: Final = 5


@dataclass(frozen=True, slots=True)
class FolderFacts:
    """What a model folder holds.

    ``places`` says of each tensor that the model has where it lies, file by file in the order of the bytes;
    ``spare`` are the ones that may be there without being used; ``files`` are all that belong to the model,
    weights first; ``dtype`` is the type of most numbers; ``weight_bytes`` is the size of all tensors.
    """

    folder: Path
    config: Mapping[str, Any]
    family: str
    shape: ModelConfig
    parameters: int
    dtype: str
    places: Mapping[str, Place]
    spare: Mapping[str, Place]
    files: tuple[str, ...]
    weight_bytes: int


def inspect_folder(folder: Path) -> FolderFacts:
    """Look at a model folder and check that it holds each tensor of its config, and no other.

    The output matrix of a tied model may be there: `check_tied` must then prove that it is the embedding.

    Raises:
        ConfigError: saying what is wrong with which file and what to do, for anything that cannot be used.
    """
    try:
        names = [entry.name for entry in folder.iterdir()]
    except OSError as error:
        raise ConfigError(f"{folder} is no folder that can be read: {error.strerror}.") from error
    chosen = choose_files(names)
    config = read_small(folder / "config.json", MAX_CONFIG)
    shape = shape_of(config)
    weights, stored = _stored(folder, chosen.weights)
    problems, spare = compare(
        {name: place.shape for name, place in stored.items()}, shape, told_by="The tensors"
    )
    if problems:
        raise ConfigError(problems)
    counts: Counter[str] = Counter()
    for place in stored.values():
        counts[place.dtype] += place.size
    return FolderFacts(
        folder=folder,
        config=config,
        family=str(config["model_type"]),
        shape=shape,
        parameters=sum(tensor.size for tensor in tensors_of(shape)),
        dtype=counts.most_common(1)[0][0],
        places={name: place for name, place in stored.items() if name not in spare},
        spare={name: stored[name] for name in spare},
        files=(*weights, *chosen.companions, *(one for one in chosen.licences if (folder / one).is_file())),
        weight_bytes=sum(place.size for place in stored.values()),
    )


def shape_of(config: Mapping[str, Any]) -> ModelConfig:
    """Return the shape that a ``config.json`` describes.

    Raises:
        ConfigError: for a quantised model, an unknown family, or a shape that cannot be built.
    """
    quantised = config.get("quantization_config")
    if quantised:
        how = quantised.get("quant_method") if isinstance(quantised, dict) else None
        raise ConfigError(
            f"config.json: the weights are quantised ({how or 'in some way'}). Import the model that it was "
            "made from; QLoRA quantises that itself."
        )
    layers = config.get("num_hidden_layers")
    if isinstance(layers, int) and layers > MAX_LAYERS:
        raise ConfigError(f"config.json: {layers:,} layers are more than the {MAX_LAYERS:,} that are read.")
    try:
        return model_config_from_hf(config)
    except (TypeError, AttributeError, ValueError, OverflowError) as error:
        raise ConfigError(f"config.json has a value of a wrong kind: {error}.") from error


def compare(
    shapes: Mapping[str, tuple[int, ...] | None], shape: ModelConfig, *, told_by: str
) -> tuple[str, frozenset[str]]:
    """Compare tensors (None: of unknown shape) with those that a model has.

    Returns:
        What does not fit, in one sentence (empty: all fits), and the names that are there to spare.
    """
    wanted = {tensor.theirs: tensor.shape for tensor in tensors_of(shape)}
    spare = frozenset(name for name in shapes.keys() - wanted.keys() if _may_be_spare(name, shape))
    problems = _listed("missing", sorted(wanted.keys() - shapes.keys()))
    problems += _listed("unexpected", sorted(shapes.keys() - wanted.keys() - spare))
    checked = {**wanted, HEAD: wanted[EMBEDDING]} if HEAD in spare else wanted
    problems += _listed(
        "of a wrong shape",
        [
            f"{name} is {list(found)}, the config asks for {list(checked[name])}"
            for name, found in sorted(shapes.items())
            if found is not None and name in checked and found != checked[name]
        ],
    )
    said = f"{told_by} do not fit config.json: {'; '.join(problems)}." if problems else ""
    return said, spare


def check_tied(facts: FolderFacts) -> None:
    """Prove, a piece at a time, that a stored output matrix of a tied model is its embedding.

    Raises:
        ConfigError: when they differ, for then one of both would be lost.
    """
    head = facts.spare.get(HEAD)
    if head is not None and not same_numbers(head, facts.places[EMBEDDING]):
        raise ConfigError(HEAD_DIFFERS)


def same_numbers(one: Place, other: Place) -> bool:
    """Compare two tensors, a piece at a time: bit by bit, or by value where their types are two.

    Raises:
        ConfigError: when a file cannot be read.
    """
    if one.shape != other.shape:
        return False
    width = [SIZES[place.dtype] for place in (one, other)]
    with open_regular(one.path) as first, open_regular(other.path) as second:
        first.seek(one.begin)
        second.seek(other.begin)
        left = one.size // width[0]
        while left:
            count = min(_CHUNK, left)
            pieces = [first.read(count * width[0]), second.read(count * width[1])]
            if [len(piece) for piece in pieces] != [count * each for each in width]:
                return False
            if one.dtype == other.dtype:
                same = pieces[0] == pieces[1]
            else:
                same = _values(pieces[0], one.dtype) == _values(pieces[1], other.dtype)
            if not same:
                return False
            left -= count
    return True


def _values(raw: bytes | bytearray, dtype: str) -> tuple[float, ...]:
    """Read numbers of any of the types, all of which a float holds exactly."""
    if dtype == "BF16":
        # The upper half of an F32.
        wide = bytearray(2 * len(raw))
        wide[2::4], wide[3::4] = raw[0::2], raw[1::2]
        return _values(wide, "F32")
    letter, width = ("e", 2) if dtype == "F16" else ("f", 4)
    return struct.unpack(f"<{len(raw) // width}{letter}", raw)


def read_small(path: Path, most: int) -> dict[str, Any]:
    """Read a JSON file of at most so many bytes.

    Raises:
        ConfigError: when it cannot be read, is larger, or holds no sound JSON object.
    """
    with open_regular(path) as file:
        raw = file.read(most + 1)
    if len(raw) > most:
        raise ConfigError(f"{path.name} has more than {most:,} bytes, which no such file needs.")
    return read_json(raw, path.name)


def read_index(path: Path) -> dict[str, str]:
    """Read which shard holds which tensor.

    Raises:
        ConfigError: when it is no index, or names a file that is not a safetensors file beside it.
    """
    weights = read_small(path, MAX_INDEX).get("weight_map")
    if not isinstance(weights, dict) or not weights:
        raise ConfigError(f"{path.name} has no weight_map.")
    for name, file in weights.items():
        if not isinstance(file, str) or not file.endswith(".safetensors") or set(file) & set("/\\\0"):
            raise ConfigError(
                f"{path.name}: {name[:200]!r} is to lie in {str(file)[:200]!r}, which is no .safetensors "
                "file beside the index."
            )
    return weights


def _stored(folder: Path, weights: str) -> tuple[tuple[str, ...], dict[str, Place]]:
    """Find every tensor, and the files that they and their index lie in."""
    if weights != INDEX:
        return (weights,), read_header(folder / weights)
    index = read_index(folder / INDEX)
    shards = sorted(set(index.values()))
    missing = [file for file in shards if not (folder / file).exists()]
    if missing:
        raise ConfigError(f"{_listed('Shards that are missing', missing)[0]}. Get the rest of the model.")
    found: dict[str, Place] = {}
    for file in shards:
        for name, place in read_header(folder / file).items():
            if name in found:
                raise ConfigError(f"The tensor {name[:200]!r} lies in {found[name].path.name} and in {file}.")
            if index.get(name) != file:
                said = f"names {index[name]}" if name in index else "does not name it"
                raise ConfigError(f"The tensor {name[:200]!r} lies in {file}, but {INDEX} {said}.")
            found[name] = place
    if absent := _listed("tensors that its shards lack", sorted(index.keys() - found.keys())):
        raise ConfigError(f"{INDEX} names {absent[0]}.")
    return (INDEX, *shards), found


def _may_be_spare(name: str, shape: ModelConfig) -> bool:
    return name.endswith(".rotary_emb.inv_freq") or (shape.tied and name == HEAD)


def _listed(what: str, names: Sequence[str]) -> list[str]:
    """Name the first few, in a list of one sentence or none."""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    shown = ", ".join(name[:200] for name in names[:_LISTED])
    return [f"{what}: {shown}{more}"] if names else []
