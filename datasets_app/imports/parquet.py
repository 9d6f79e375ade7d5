"""Rows of a Parquet file, a row group's part at a time; needs pyarrow (extra ``parquet``)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from datasets_app.imports.errors import UnfitFileError
from datasets_app.imports.items import Item

ROWS_AT_ONCE = 1000


def parquet_items(path: Path, name: str) -> Iterator[Item]:
    """Give a record a row. ``line`` is the row's number, there are no byte offsets.

    Raises:
        UnfitFileError: if pyarrow is not installed, or the file is damaged.
    """
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise UnfitFileError(
            f"{name} is a Parquet file, which this installation cannot read.",
            hint="Install the extra “parquet” (pip install pyarrow), or convert the file to JSON lines.",
        ) from None
    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=ROWS_AT_ONCE):
                for row in batch.to_pylist():
                    number += 1
                    fields = {column: value for column, value in row.items() if value is not None}
                    yield Item(number, 0, _as_json(fields), fields)
    except (ArrowException, OSError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UnfitFileError(f"{name}: the Parquet data are damaged after row {number} ({first}).") from error


def _as_json(fields: dict[str, Any]) -> bytes:
    return msgspec.json.encode(fields, enc_hook=str)
