"""Packed rows on disk: computed once, read by memory map, and rebuilt when damaged.

A directory ``packing/<key>`` holds one ``.npy`` file an array and ``packing.json``, which names
every file with its size and SHA-256. It appears whole by one rename, so that two processes
can build the same one at once.
"""

import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from training.examples import TraceExample
from training.packing import PACKING_VERSION, PackedRows
from training.rendering import RENDERING_VERSION
from training.rows import TraceTable
from training.text_form import TextForm

_TABLE: Final = ("sources", "sizes", "prompt_sizes", "cut_tokens")
_ARRAYS: Final = ("inputs", "row_starts", "begins", "last_tokens")
_INDEX: Final = "packing.json"
_UNFINISHED: Final = ".building-"
_UNFINISHED_SECONDS: Final = 24 * 3600


def cached(
    build: Callable[[], PackedRows],
    *,
    cache_dir: Path,
    examples: Sequence[TraceExample],
    form: TextForm,
    facts: dict[str, Any],
) -> PackedRows:
    """Return the stored rows for these examples and facts, or build and store them.

    ``facts`` names everything else that decides the rows. A cache that cannot be written costs
    time, not the run: the rows then say so in their own facts.
    """
    key = _key(examples, facts | {"tokenizer": form.hash})
    place = cache_dir / "packing" / key
    if (found := _read(place, form.pad)) is not None:
        return found
    rows = build()
    try:
        _write(place, rows)
    except OSError as error:
        return replace(rows, cache=f"not written: {error}")
    stored = _read(place, form.pad)
    return replace(rows, cache="not written") if stored is None else replace(stored, cache="written")


def _key(examples: Sequence[TraceExample], facts: dict[str, Any]) -> str:
    # The ids name the traces and their order, also where a caller passes a part of the dataset.
    ids = hashlib.sha256("".join(f"{example.trace_id}\n" for example in examples).encode())
    versions = {
        "traces": ids.hexdigest(),
        "rendering": RENDERING_VERSION,
        "packing": PACKING_VERSION,
    }
    return hashlib.sha256(json.dumps(facts | versions, sort_keys=True).encode()).hexdigest()[:32]


def _read(place: Path, pad: int) -> PackedRows | None:
    """Map the stored rows; None where there are none, or not exactly what was written."""
    try:
        index = json.loads((place / _INDEX).read_text("utf-8"))
        for name, (size, digest) in index["files"].items():
            path = place / name
            if path.stat().st_size != size or _digest(path) != digest:
                return None
        arrays = {
            name: np.load(place / f"{name}.npy", mmap_mode="r", allow_pickle=False)
            for name in (*_ARRAYS, *_TABLE)
        }
        return PackedRows(
            **{name: arrays[name] for name in _ARRAYS},
            table=TraceTable(**{name: arrays[name] for name in _TABLE}),
            dropped=int(index["dropped"]),
            pad=pad,
            cache="read",
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _write(place: Path, rows: PackedRows) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    _sweep(place.parent)
    building = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=place.parent))
    try:
        files: dict[str, tuple[int, str]] = {}
        arrays = {name: getattr(rows, name) for name in _ARRAYS}
        arrays |= {name: getattr(rows.table, name) for name in _TABLE}
        for name, values in arrays.items():
            path = building / f"{name}.npy"
            np.save(path, values, allow_pickle=False)
            files[path.name] = (path.stat().st_size, _digest(path))
        (building / _INDEX).write_text(json.dumps({"dropped": rows.dropped, "files": files}), "utf-8")
        if place.exists() and _read(place, rows.pad) is None:
            # Moved aside first: whoever has it mapped keeps its pages.
            place.rename(building / "damaged")
        try:
            building.rename(place)
        except OSError:
            if _read(place, rows.pad) is None:
                raise
    finally:
        shutil.rmtree(building, ignore_errors=True)
        shutil.rmtree(place / "damaged", ignore_errors=True)


def _sweep(parent: Path) -> None:
    """Remove what killed processes left unfinished."""
    for path in parent.glob(f"{_UNFINISHED}*"):
        try:
            if time.time() - path.stat().st_mtime > _UNFINISHED_SECONDS:
                shutil.rmtree(path, ignore_errors=True)
        except FileNotFoundError:
            continue


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
