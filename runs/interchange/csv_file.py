"""Read a CSV file of metrics, wide or long, with any of the usual delimiters."""

import csv
from collections import Counter
from pathlib import Path

from runs.interchange.foreign import ForeignRun, Reading
from runs.interchange.spool import Spool
from runs.interchange.tables import Table, shape_of
from runs.interchange.text_lines import read_lines
from tunix_site.errors import InvalidInputError

FORMAT = "csv"
DELIMITERS = ",;\t|"


def read(path: Path, spool: Spool, reading: Reading) -> list[ForeignRun]:
    """Read a CSV file with a header.

    Raises:
        InvalidInputError: naming file, line and column.
    """
    lines = read_lines(path)
    header = next(lines, "")
    if "\r" in header.rstrip("\r\n"):
        raise InvalidInputError(
            f"{path}, line 1: its lines end with CR alone.", hint="Save it with LF or CR LF at their ends."
        )
    delimiter = max(DELIMITERS, key=lambda mark: len(next(csv.reader([header], delimiter=mark), [])))
    columns = [name.strip() for name in next(csv.reader([header], delimiter=delimiter), [])]
    twice = sorted(name for name, count in Counter(columns).items() if count > 1)
    if twice:
        raise InvalidInputError(f"{path}, line 1: the column {twice[0]!r} is there twice.")
    table = Table(spool, reading, format=FORMAT, strict=True, changed_at=path.stat().st_mtime)
    try:
        table.parts = shape_of(columns, reading)
    except InvalidInputError as error:
        raise InvalidInputError(f"{path}, line 1: {error.message}.", hint=error.hint) from error
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        for cells in rows:
            where = f"{path}, line {rows.line_num + 1}"
            if not any(cells):
                continue
            if len(cells) != len(columns):
                raise InvalidInputError(f"{where}: {len(cells)} cells where the header has {len(columns)}.")
            table.take(dict(zip(columns, cells, strict=True)), where)
    except csv.Error as error:
        raise InvalidInputError(f"{path}, line {rows.line_num + 1}: {error}.") from error
    return table.finish(str(path), path.stem)
