"""Real model folders out of the committed fixtures, for tests. Needs neither JAX nor numpy."""

import ast
import json
import math
import struct
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

FIXTURES: Final = Path(__file__).resolve().parents[2] / "tests" / "fixtures" / "hf"
FAMILIES: Final = ("llama", "qwen2", "qwen3", "gemma3")
SIZES: Final = {"F64": 8, "F32": 4, "I32": 4, "BF16": 2, "F16": 2, "U8": 1}


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor as it lies in a safetensors file: the name of its type, its shape, its bytes."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes

    def to(self, dtype: str) -> "Stored":
        """Give an F32 tensor in another type: BF16 (cut off, not rounded), F16 or F32."""
        if dtype == self.dtype:
            return self
        if dtype == "BF16":
            cut = bytearray(len(self.data) // 2)
            cut[0::2], cut[1::2] = self.data[2::4], self.data[3::4]
            return Stored(dtype, self.shape, bytes(cut))
        count = len(self.data) // 4
        numbers = struct.unpack(f"<{count}f", self.data)
        return Stored(dtype, self.shape, struct.pack(f"<{count}{'e' if dtype == 'F16' else 'd'}", *numbers))


def zeros(shape: tuple[int, ...], dtype: str = "F32") -> Stored:
    """Give a tensor of zeros."""
    return Stored(dtype, shape, bytes(math.prod(shape) * SIZES[dtype]))


def fixture_config(family: str) -> dict[str, Any]:
    """Give the ``config.json`` of a family's fixture."""
    config: dict[str, Any] = json.loads((FIXTURES / f"{family}.json").read_text())["config"]
    return config


def fixture_tensors(family: str) -> dict[str, Stored]:
    """Give the tensors of a family's fixture, by their Hugging Face names."""
    with zipfile.ZipFile(FIXTURES / f"{family}.npz") as archive:
        named = {name.removesuffix(".npy"): archive.read(name) for name in archive.namelist()}
    return {name: _from_npy(raw) for name, raw in named.items() if name not in {"input_ids", "logits"}}


def _from_npy(raw: bytes) -> Stored:
    """Read version 1 of NumPy's format: magic and version (8 bytes), the header's length, header, data."""
    end = 10 + int.from_bytes(raw[8:10], "little")
    header = ast.literal_eval(raw[10:end].decode("latin-1"))
    assert header["descr"] == "<f4", header
    assert not header["fortran_order"], header
    return Stored("F32", tuple(header["shape"]), raw[end:])


def model_folder(
    path: Path,
    family: str = "llama",
    *,
    shards: int = 1,
    dtype: str | None = None,
    config: Mapping[str, Any] | None = None,
    tensors: Mapping[str, Stored] | None = None,
    files: Mapping[str, str] | None = None,
) -> Path:
    """Write a Hugging Face model folder at ``path`` and give its path.

    ``config`` changes single keys of the fixture's (None takes one out), ``tensors`` stands for all of
    its tensors, which ``dtype`` turns into another type, ``files`` names further text files, such as
    ``tokenizer.json``.
    """
    path.mkdir(parents=True, exist_ok=True)
    whole = fixture_config(family) | dict(config or {})
    (path / "config.json").write_text(json.dumps({k: v for k, v in whole.items() if v is not None}))
    given = fixture_tensors(family) if tensors is None else dict(tensors)
    stored = {name: one.to(dtype or one.dtype) for name, one in given.items()}
    write_tensors(path, stored, shards=shards)
    for name, text in (files or {}).items():
        (path / name).write_text(text)
    return path


def write_tensors(path: Path, tensors: Mapping[str, Stored], *, shards: int = 1) -> None:
    """Write tensors into a folder as one file, or as shards with their index."""
    if shards == 1:
        write_safetensors(path / "model.safetensors", tensors.items())
        return
    weights: dict[str, str] = {}
    for number in range(shards):
        file = f"model-{number + 1:05d}-of-{shards:05d}.safetensors"
        part = dict(list(tensors.items())[number::shards])
        write_safetensors(path / file, part.items())
        weights |= dict.fromkeys(part, file)
    size = sum(len(one.data) for one in tensors.values())
    index = {"metadata": {"total_size": size}, "weight_map": weights}
    (path / "model.safetensors.index.json").write_text(json.dumps(index))


def write_safetensors(file: Path, tensors: Iterable[tuple[str, Stored]]) -> None:
    """Write one file: the header's length (8 bytes), the header as JSON, then the bytes in its order."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    parts, at = [], 0
    for name, one in tensors:
        span = [at, at + len(one.data)]
        header[name] = {"dtype": one.dtype, "shape": list(one.shape), "data_offsets": span}
        parts.append(one.data)
        at = span[1]
    raw = json.dumps(header).encode()
    raw += b" " * (-len(raw) % 8)
    file.write_bytes(struct.pack("<Q", len(raw)) + raw + b"".join(parts))
