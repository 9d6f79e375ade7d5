"""From a file to traces and refusals, one record at a time, in order."""

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path

from datasets_app.formats import FORMATS, Format, detect
from datasets_app.formats.reading import LINE, Fields, Reading
from datasets_app.imports.containers import PARQUET, items_of, look
from datasets_app.imports.decoding import decode_record
from datasets_app.imports.errors import TooLargeError, UnfitFileError
from datasets_app.imports.items import Item
from datasets_app.imports.limits import Limits
from datasets_app.imports.packed import damage_named, inner_name, open_file, unpacked
from datasets_app.imports.parquet import parquet_items
from datasets_app.imports.rejects import Refusal
from datasets_app.imports.request import AUTO, ImportRequest
from datasets_app.imports.solving import solved
from datasets_app.publishing import Member, member_of
from datasets_app.traces import TraceError, check_characters, validate_trace

SAMPLE = 50
PREVIEWED = 3
FIELDS_NAMED = 12
_PROVENANCE = (("source", 200), ("licence", 100), ("family", 64))


@dataclass(slots=True)
class Preview:
    """What an import is about to do, shown before it commits."""

    format: str
    container: str
    mapping: dict[str, str]
    traces: list[Member] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class FileReader:
    """Reads one file; `outcomes` can be gone through once."""

    def __init__(self, path: Path, *, name: str, request: ImportRequest, limits: Limits) -> None:
        self.path = path
        self.name = name
        self.request = request
        self.limits = limits
        self.rows = 0
        self.notes: list[str] = []
        self.container = ""
        self.format: Format | None = FORMATS.get(request.format)
        self._raw: io.BufferedReader | None = None

    @property
    def bytes_read(self) -> int:
        """How much of the file, as it lies on disk, was read."""
        return self._raw.tell() if self._raw is not None and not self._raw.closed else 0

    def outcomes(self) -> Iterator[Preview | Member | Refusal]:
        """Give the preview, then a member or a refusal for each record.

        Raises:
            UnfitFileError: if the file cannot be read on, or its format is not known.
            TooLargeError: if it goes beyond a limit.
        """
        with damage_named(self.name), open_file(self.path) as raw:
            self._raw = raw
            items = self._items(raw)
            sample = list(islice(items, SAMPLE))
            yield self._preview(sample)
            for item in chain(sample, items):
                self.rows += 1
                if self.rows > self.limits.rows:
                    raise TooLargeError(
                        f"{self.name} holds more than {self.limits.rows} records.",
                        hint="Part it, or raise TUNIX_IMPORT_MAX_ROWS.",
                    )
                yield self._judge(item)
        if not self.rows:
            raise UnfitFileError(f"{self.name} holds no record at all.")

    def _items(self, raw: io.BufferedReader) -> Iterator[Item]:
        stream = unpacked(raw, self.name)
        opened = look(stream, self.name, plain_lines=self.request.format in {"icot", "equation"})
        self.container = opened.container
        self.notes += opened.notes
        if opened.container != PARQUET:
            return items_of(stream, opened, self.name, self.limits)
        if stream is not raw:
            raise UnfitFileError(f"{self.name} is a packed Parquet file.", hint="Unpack it first.")
        return parquet_items(self.path, inner_name(self.name))

    def _preview(self, sample: list[Item]) -> Preview:
        found = []
        for item in sample:
            try:
                found.append(self._fields(item))
            except TraceError:
                continue
        if self.format is None and found:
            self._detect(found)
        shown = [one for item in sample[:PREVIEWED] if isinstance(one := self._judge(item), Member)]
        name = self.format.NAME if self.format else AUTO
        return Preview(name, self.container, self._mapping_shown(found), shown, self.notes)

    def _mapping_shown(self, found: list[Fields]) -> dict[str, str]:
        """Say which field of the file each field of the format is read from."""
        if self.format is None or not found:
            return {}
        return {name: self.request.mapping.get(name, name) for name in self.format.FIELDS if name in found[0]}

    def _detect(self, records: list[Fields]) -> Format:
        self.format = detect(records)
        if self.format is None:
            first = records[0]
            names = ", ".join(map(repr, list(first)[:FIELDS_NAMED]))
            what = f"line {first[LINE][:60]!r}" if LINE in first else f"record with the fields {names}"
            raise UnfitFileError(
                f"{self.name}: no format fits its first {what}.",
                hint="Name one with --format, or map the fields, as in --map question=body,answer=target.",
            )
        return self.format

    def _fields(self, item: Item) -> Fields:
        if item.problem:
            raise TraceError(item.field, item.problem)
        fields = decode_record(item.raw) if item.fields is None else item.fields
        if not self.request.mapping:
            return fields
        mapped = dict(fields)
        for name, own in self.request.mapping.items():
            if own not in fields:
                raise TraceError(own, f"is missing (it was mapped to {name}).")
            if name != own:
                mapped[name] = fields[own]
        for own in set(self.request.mapping.values()) - set(self.request.mapping):
            mapped.pop(own, None)
        return mapped

    def _judge(self, item: Item) -> Member | Refusal:
        try:
            fields = self._fields(item)
            reader = self.format or self._detect([fields])
            return self._member(reader.read(fields))
        except TraceError as error:
            return Refusal(item.line, item.offset, error.field, error.problem, item.raw)

    def _member(self, reading: Reading) -> Member:
        request = self.request
        if request.solve:
            reading = solved(reading, request.solve)
        record = reading.record
        if len(record.steps) > self.limits.steps:
            raise TraceError("steps", f"{len(record.steps)} steps; at most {self.limits.steps} are allowed.")
        validate_trace(record)
        if reading.source or reading.licence or reading.family:
            for name, longest in _PROVENANCE:
                text = getattr(reading, name)
                check_characters(name, text)
                if len(text) > longest:
                    raise TraceError(name, f"has {len(text)} characters; at most {longest} are allowed.")
        return member_of(
            record,
            family=reading.family,
            source=reading.source or request.source,
            licence=reading.licence or request.licence,
            meta=record.meta,
            split=request.split or reading.split,
        )


def count_at_most(path: Path, *, name: str, most: int, bytes_most: int) -> int | None:
    """Count the records of a file; None where they are more than ``most``, or many bytes when unpacked."""
    limits = Limits(total_bytes=bytes_most, line_bytes=bytes_most, rows=most, steps=most)
    reader = FileReader(path, name=name, request=ImportRequest(key="count"), limits=limits)
    count = 0
    try:
        with damage_named(name), open_file(path) as raw:
            for _ in reader._items(raw):
                count += 1
                if count > most:
                    return None
    except TooLargeError:
        return None
    except UnfitFileError:
        pass  # the import itself says what is wrong
    return count
