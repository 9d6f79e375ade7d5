"""How records lie in a file: JSON lines, a JSON array, CSV, plain lines; each streamed, none loaded whole."""

import csv
import io
import json
import re
from collections.abc import Iterator
from typing import NamedTuple

from datasets_app.formats.reading import LINE, Fields
from datasets_app.imports.array import array_items
from datasets_app.imports.decoding import BOM, WHOLE
from datasets_app.imports.errors import TooLargeError, UnfitFileError
from datasets_app.imports.items import Item, shorten
from datasets_app.imports.limits import MIB, Limits
from datasets_app.imports.packed import inner_name
from datasets_app.traces import MAX_TEXT

JSONL, ARRAY, CSV, PARQUET, TEXT = "JSON lines", "JSON array", "CSV", "Parquet", "plain lines"
PARQUET_MAGIC = b"PAR1"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_STRUCTURED = frozenset({"steps", "messages", "conversations", "completions", "labels", "label", "meta"})
_PLAIN = re.compile(rb"^\s*-?\d[\d\s+*/=.-]*$")

csv.field_size_limit(MAX_TEXT * 8)


class Opened(NamedTuple):
    """The container that a stream is, where its records begin, and what was noticed."""

    container: str
    start: int
    notes: list[str]


def look(stream: io.BufferedReader, name: str, *, plain_lines: bool) -> Opened:
    """Find out how records lie in a stream; leaves it at the first record.

    Raises:
        UnfitFileError: if it is empty, or text in another encoding.
    """
    head = stream.peek(1 << 16)
    if not head:
        raise UnfitFileError(f"{name} is empty.")
    if head.startswith(_UTF16):
        raise UnfitFileError(f"{name} is UTF-16 text (by its byte order mark).", hint="Save it as UTF-8.")
    if head.startswith(PARQUET_MAGIC):
        return Opened(PARQUET, 0, [])
    notes, start = [], 0
    if head.startswith(BOM):
        stream.read(len(BOM))
        notes.append("The file starts with a byte order mark; it was left out.")
        head, start = head[len(BOM) :], len(BOM)
    return Opened(_by_content(inner_name(name).lower(), head, plain_lines=plain_lines), start, notes)


def _by_content(name: str, head: bytes, *, plain_lines: bool) -> str:
    first = head.lstrip()[:1]
    if name.endswith((".csv", ".tsv")):
        return CSV
    if name.endswith(".parquet"):
        raise UnfitFileError(f"{name} is not a Parquet file: it does not start with PAR1.")
    if first == b"[":
        return ARRAY
    if first == b"{" or name.endswith((".json", ".jsonl", ".ndjson")):
        return JSONL
    line = head.split(b"\n", 1)[0]
    if plain_lines or b"||" in line or _PLAIN.match(line):
        return TEXT
    return CSV if any(mark in line for mark in (b",", b"\t", b";")) and b"####" not in line else TEXT


def items_of(stream: io.BufferedReader, opened: Opened, name: str, limits: Limits) -> Iterator[Item]:
    """Give the records of a text container."""
    match opened.container:
        case "JSON lines":
            return json_lines(stream, opened.start, limits)
        case "JSON array":
            return array_items(stream, opened.start, name, limits)
        case "CSV":
            return csv_items(stream, opened.start, name, limits)
        case _:
            return plain_items(stream, opened.start, limits)


def json_lines(stream: io.BufferedReader, offset: int, limits: Limits) -> Iterator[Item]:
    """Give a record a line; empty lines carry nothing and are passed over."""
    for line, start, raw, problem in _lines(stream, offset, limits):
        if problem:
            yield Item(line, start, raw, None, WHOLE, problem)
        elif not raw.isspace():
            yield Item(line, start, raw)


def plain_items(stream: io.BufferedReader, offset: int, limits: Limits) -> Iterator[Item]:
    """Give a record a line of text."""
    for line, start, raw, problem in _lines(stream, offset, limits):
        if problem:
            yield Item(line, start, raw, None, WHOLE, problem)
            continue
        try:
            text = raw.decode().strip()
        except UnicodeDecodeError as error:
            reason = f"is not UTF-8: byte {error.start} is 0x{raw[error.start]:02x}."
            yield Item(line, start, raw, None, LINE, reason)
            continue
        if text:
            yield Item(line, start, raw, {LINE: text})


def _lines(stream: io.BufferedReader, offset: int, limits: Limits) -> Iterator[tuple[int, int, bytes, str]]:
    """Give number, byte offset and bytes of each line; of one that is too long its start and a reason."""
    line, longest = 0, limits.line_bytes
    while raw := stream.readline(longest + 1):
        line += 1
        start = offset
        offset += len(raw)
        if len(raw) > longest and not raw.endswith(b"\n"):
            while more := stream.readline(MIB):
                offset += len(more)
                _check_total(offset, limits)
                if more.endswith(b"\n"):
                    break
            yield (
                line,
                start,
                shorten(raw),
                f"is longer than {longest // MIB} MiB (TUNIX_IMPORT_MAX_LINE_MB).",
            )
            continue
        _check_total(offset, limits)
        yield line, start, raw, ""


def _check_total(offset: int, limits: Limits) -> None:
    if offset > limits.total_bytes:
        raise TooLargeError(
            f"The file holds more than {limits.total_bytes // MIB} MiB, unpacked.",
            hint="Part it, or raise TUNIX_IMPORT_MAX_MB.",
        )


class _CsvLines:
    """Physical lines for the csv module; remembers where the record being read began."""

    def __init__(self, lines: Iterator[tuple[int, int, bytes, str]], name: str) -> None:
        self._lines = lines
        self._name = name
        self.line = self.start = 0
        self.raw = b""
        self.fresh = True

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line, start, raw, problem = next(self._lines)
        if problem:
            raise UnfitFileError(f"{self._name}, line {line}: {problem}")
        if self.fresh:
            self.line, self.start, self.raw, self.fresh = line, start, b"", False
        if len(self.raw) < MIB:
            self.raw += raw
        return raw.decode(errors="surrogateescape")


def csv_items(stream: io.BufferedReader, offset: int, name: str, limits: Limits) -> Iterator[Item]:
    """Give a record a row below the header; columns of lists and objects hold JSON.

    Raises:
        UnfitFileError: if there is no usable header.
    """
    first = stream.peek(1 << 16).split(b"\n", 1)[0]
    mark = "\t" if b"\t" in first else ";" if b";" in first and b"," not in first else ","
    lines = _CsvLines(_lines(stream, offset, limits), name)
    rows = csv.reader(lines, delimiter=mark, strict=True)
    header = _header(rows, name)
    while True:
        lines.fresh = True
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield Item(lines.line, lines.start, shorten(lines.raw), None, WHOLE, f"is not CSV: {error}.")
            continue
        if row:
            yield _csv_item(lines, header, row)


def _header(rows: Iterator[list[str]], name: str) -> list[str]:
    try:
        header = [column.strip() for column in next(rows)]
    except StopIteration:
        raise UnfitFileError(f"{name} has no line with the names of its columns.") from None
    except csv.Error as error:
        raise UnfitFileError(
            f"{name}: the line with the names of the columns is not CSV: {error}."
        ) from error
    if any("\udc80" <= character <= "\udcff" for character in "".join(header)):
        raise UnfitFileError(f"{name}: the line with the names of the columns is not UTF-8.")
    twice = sorted({column for column in header if header.count(column) > 1})
    if twice:
        raise UnfitFileError(f"{name} has the column {twice[0]!r} twice.")
    if "" in header:
        raise UnfitFileError(f"{name}: column {header.index('') + 1} has no name.")
    return header


def _csv_item(lines: _CsvLines, header: list[str], row: list[str]) -> Item:
    place = (lines.line, lines.start, lines.raw)
    if len(row) != len(header):
        return Item(*place, None, WHOLE, f"has {len(row)} columns where the header has {len(header)}.")
    fields: Fields = {}
    for column, text in zip(header, row, strict=True):
        if any("\udc80" <= character <= "\udcff" for character in text):
            return Item(*place, None, column, "is not UTF-8.")
        fields[column] = text
        if column in _STRUCTURED and text.lstrip().startswith(("[", "{")):
            try:
                fields[column] = json.loads(text)
            except ValueError as error:
                return Item(*place, None, column, f"is not JSON: {error}.")
            except RecursionError:
                return Item(*place, None, column, "is nested too deeply.")
    return Item(*place, fields)
