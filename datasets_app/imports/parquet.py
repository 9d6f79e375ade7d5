"""Rows of a Parquet file, a row group's part at a time; needs pyarrow (extra ``parquet``)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from datasets_app.imports.errors import UnfitFileError
from datasets_app.imports.items import Item

ROWS_AT_ONCE = 1000


class _Unreadable(NamedTuple):
    """Stands for a value that Python cannot hold, such as a date after the year 9999."""

    problem: str


def parquet_items(path: Path, name: str) -> Iterator[Item]:
    """Give a record a row. ``line`` is the row's number, there are no byte offsets.

    Times, decimal numbers and bytes become text (ISO 8601, digits, base64), as JSON would have them.

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
            names = file.schema_arrow.names
            twice = sorted({column for column in names if names.count(column) > 1})
            if twice:
                raise UnfitFileError(f"{name} has the column {twice[0]!r} twice.")
            for batch in file.iter_batches(batch_size=ROWS_AT_ONCE):
                for row in zip(*map(_values, batch.columns), strict=True):
                    number += 1
                    yield _item(number, dict(zip(names, row, strict=True)))
    except (ArrowException, OSError, ValueError, OverflowError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UnfitFileError(f"{name}: the Parquet data are damaged after row {number} ({first}).") from error


def _item(number: int, row: dict[str, Any]) -> Item:
    given = {column: value for column, value in row.items() if value is not None}
    bad = next((column for column, value in given.items() if type(value) is _Unreadable), None)
    if bad is None:
        fields = msgspec.to_builtins(given, str_keys=True, enc_hook=str)
        return Item(number, 0, msgspec.json.encode(fields), fields)
    problem = given[bad].problem
    rest = {column: value for column, value in given.items() if type(value) is not _Unreadable}
    return Item(number, 0, msgspec.json.encode(rest, enc_hook=str), None, bad, problem)


def _values(column: Any) -> list[Any]:
    """Give the values of a column; one by one where some cannot be had."""
    from pyarrow import ArrowException

    try:
        wanted = _without_nanoseconds(column.type)
        if wanted != column.type:
            column = column.cast(wanted)
        return list(column.to_pylist(maps_as_pydicts="strict"))
    except (ArrowException, ValueError, OverflowError, KeyError, TypeError):
        return [_value(one) for one in column]


def _value(one: Any) -> Any:
    from pyarrow import ArrowException

    try:
        return one.as_py(maps_as_pydicts="strict")
    except UnicodeDecodeError:
        return _Unreadable("is not UTF-8.")
    except KeyError:
        return _Unreadable("has a key twice.")
    except (ArrowException, ValueError, OverflowError, TypeError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        return _Unreadable(f"cannot be read ({first.removesuffix('.')}).")


def _without_nanoseconds(kind: Any) -> Any:
    """Give the type to read a type as: text for times in nanoseconds, which Python's own cannot hold."""
    import pyarrow as pa

    if kind == pa.time64("ns") or (pa.types.is_timestamp(kind) and kind.unit == "ns"):
        return pa.string()
    if pa.types.is_struct(kind):
        return pa.struct([one.with_type(_without_nanoseconds(one.type)) for one in kind])
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_without_nanoseconds(kind.value_type)))
    return kind
