"""Parquet columns of every type: read as JSON would have them, or refused by row and column."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from datasets_app.imports.errors import UnfitFileError
from datasets_app.imports.limits import Limits
from datasets_app.imports.reader import FileReader
from datasets_app.imports.rejects import Refusal
from datasets_app.imports.request import ImportRequest
from datasets_app.publishing import Member

pa = pytest.importorskip("pyarrow", reason="the extra “parquet” is not installed")
pq = pytest.importorskip("pyarrow.parquet", reason="the extra “parquet” is not installed")

ROWS = 3
FULL = {
    "prompt": ["1+1?", "2+2?", "3+3?"],
    "steps": [[{"i": 0, "content": "sum"}]] * ROWS,
    "final_answer": ["2", "4", "6"],
}


def outcomes(path: Path, columns: dict[str, Any], names: list[str] | None = None) -> list[Any]:
    arrays = [column if isinstance(column, pa.Array) else pa.array(column) for column in columns.values()]
    pq.write_table(pa.Table.from_arrays(arrays, names or list(columns)), path)
    request = ImportRequest(key="mine", format="trace")
    _, *rest = FileReader(path, name="a.parquet", request=request, limits=Limits.of_settings()).outcomes()
    return rest


def column_with(bad: int, kind: Any, good: int = 0) -> Any:
    """Make a column whose second value is the bad one, given by its bits."""
    bits = pa.int32() if kind.bit_width == 32 else pa.int64()
    return pa.array([good, bad, good], bits).view(kind)


def not_utf8() -> Any:
    return pa.array([b"x", b"\xff", b"x"], pa.binary()).view(pa.string())


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (lambda: column_with(2**62, pa.timestamp("us")), "cannot be read"),
        (lambda: column_with(2**62, pa.timestamp("us", "UTC")), "cannot be read"),
        (lambda: column_with(2**30, pa.date32()), "cannot be read"),
        (not_utf8, "is not UTF-8"),
    ],
)
def test_a_value_that_cannot_be_had_refuses_its_row_alone(tmp_path, column, words):
    first, refused, last = outcomes(tmp_path / "a.parquet", {**FULL, "created_at": column()})
    assert isinstance(first, Member)
    assert isinstance(last, Member)
    assert isinstance(refused, Refusal)
    assert (refused.line, refused.field) == (2, "created_at")
    assert words in refused.reason
    assert b"2+2?" in refused.raw


WHEN = datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)
NANOSECONDS = 1577836800000000123


@pytest.mark.parametrize(
    ("value", "kind", "wanted"),
    [
        (NANOSECONDS, pa.timestamp("ns"), "2020-01-01 00:00:00.000000123"),
        (NANOSECONDS, pa.timestamp("ns", "+02:00"), "2020-01-01 02:00:00.000000123+0200"),
        ([NANOSECONDS], pa.list_(pa.timestamp("ns")), ["2020-01-01 00:00:00.000000123"]),
        (5, pa.time64("ns"), "00:00:00.000000005"),
        (WHEN, pa.timestamp("us", "UTC"), "2020-01-02T03:04:05Z"),
        (WHEN.date(), pa.date32(), "2020-01-02"),
        (Decimal("1.5"), pa.decimal128(2, 1), "1.5"),
        (b"\xff", pa.binary(), "/w=="),
        ([("k", 1)], pa.map_(pa.string(), pa.int64()), {"k": 1}),
        ([(7, 1)], pa.map_(pa.int64(), pa.int64()), {"7": 1}),
    ],
)
def test_what_json_has_no_type_for_becomes_text(tmp_path, value, kind, wanted):
    meta = pa.array([{"x": value}] * ROWS, pa.struct([("x", kind)]))
    found = outcomes(
        tmp_path / "a.parquet", {**FULL, "meta": meta, "created_at": pa.array([value] * ROWS, kind)}
    )
    assert [one.meta for one in found] == [{"x": wanted}] * ROWS


def test_a_map_with_a_key_twice_is_refused(tmp_path):
    kind = pa.map_(pa.string(), pa.int64())
    meta = pa.array([[("k", 1)], [("k", 1), ("k", 2)], []], kind)
    refused = outcomes(tmp_path / "a.parquet", {**FULL, "meta": meta})[1]
    assert str(refused).endswith("meta: has a key twice.")


def test_a_column_twice_is_refused(tmp_path):
    with pytest.raises(UnfitFileError, match="has the column 'prompt' twice"):
        outcomes(tmp_path / "a.parquet", {**FULL, "x": FULL["prompt"]}, [*FULL, "prompt"])


def test_a_map_with_keys_that_no_object_can_have_is_refused(tmp_path):
    kind = pa.map_(pa.struct([("k", pa.int64())]), pa.int64())
    meta = pa.array([[({"k": 1}, 1)]] * ROWS, kind)
    refused = outcomes(tmp_path / "a.parquet", {**FULL, "meta": meta})
    assert {one.field for one in refused} == {"meta"}
