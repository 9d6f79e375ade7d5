"""Read a JSONL file of metrics: one object a line, wide or long; nested ones become dotted names."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from runs.interchange.foreign import ForeignRun, Reading
from runs.interchange.spool import Spool
from runs.interchange.tables import Table, shape_of
from runs.interchange.text_lines import read_lines
from tunix_site.errors import InvalidInputError

FORMAT = "jsonl"
_DEEPEST = 8


def read(path: Path, spool: Spool, reading: Reading) -> list[ForeignRun]:
    """Read a JSONL file; values that are no numbers are counted and left out.

    Raises:
        InvalidInputError: naming file, line and key.
    """
    table = Table(spool, reading, format=FORMAT, strict=False, changed_at=path.stat().st_mtime)
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        row = _object(line, where)
        if not table.parts:
            try:
                table.parts = shape_of(list(row), reading)
            except InvalidInputError as error:
                raise InvalidInputError(f"{where}: {error.message}.", hint=error.hint) from error
        table.take(row, where)
    return table.finish(str(path), path.stem)


def _object(line: str, where: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        what = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InvalidInputError(f"{where} is no JSON: {what}.") from error
    if not isinstance(value, dict):
        raise InvalidInputError(f"{where}: no object but {type(value).__name__}.")
    return dict(flattened(value))


def flattened(value: dict[str, Any], prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Give the leaves of nested objects under names joined by dots; what is too deep stays as it is."""
    for name, item in value.items():
        if isinstance(item, dict) and depth < _DEEPEST:
            yield from flattened(item, f"{prefix}{name}.", depth + 1)
        else:
            yield f"{prefix}{name}", item
