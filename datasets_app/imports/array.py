"""The elements of a JSON array, one at a time, whatever the array's length."""

import io
import re
from collections.abc import Iterator

from datasets_app.imports.errors import TooLargeError, UnfitFileError
from datasets_app.imports.items import Item
from datasets_app.imports.limits import MIB, Limits

_CHUNK = 1 << 18
_MARK = re.compile(rb'["{}\[\]]')
_STRING_END = re.compile(rb'(?:[^"\\]|\\.)*"', re.DOTALL)
_SCALAR_END = re.compile(rb"[,\]\s]")
_SPACE = re.compile(rb"\s*")


class _Window:
    """The part of the file that is looked at, growing at its end and let go at its start."""

    def __init__(self, stream: io.BufferedReader, offset: int, name: str, limits: Limits) -> None:
        self._stream = stream
        self._limits = limits
        self.name = name
        self.data = b""
        self.place = 0
        self.offset = offset
        self.line = 1

    def more(self) -> bool:
        """Read on; False at the end of the file."""
        chunk = self._stream.read(_CHUNK)
        self.data += chunk
        if self.offset + len(self.data) > self._limits.total_bytes:
            raise TooLargeError(
                f"The file holds more than {self._limits.total_bytes // MIB} MiB, unpacked.",
                hint="Part it, or raise TUNIX_IMPORT_MAX_MB.",
            )
        if len(self.data) - self.place > self._limits.line_bytes + _CHUNK:
            raise UnfitFileError(
                f"{self.name}, line {self.line}: one element is longer than "
                f"{self._limits.line_bytes // MIB} MiB (TUNIX_IMPORT_MAX_LINE_MB)."
            )
        return bool(chunk)

    def drop(self) -> None:
        """Let go of what lies before the place."""
        self.line += self.data.count(b"\n", 0, self.place)
        self.offset += self.place
        self.data, self.place = self.data[self.place :], 0

    def next_byte(self) -> bytes:
        """Pass over white space and show what comes then; empty at the end of the file."""
        while True:
            found = _SPACE.match(self.data, self.place)
            self.place = found.end() if found else self.place
            if self.place < len(self.data):
                return self.data[self.place : self.place + 1]
            self.drop()
            if not self.more():
                return b""

    def fail(self, problem: str) -> UnfitFileError:
        """Name the place in an error."""
        self.drop()
        return UnfitFileError(f"{self.name}, line {self.line}, byte {self.offset}: {problem}")


def array_items(stream: io.BufferedReader, offset: int, name: str, limits: Limits) -> Iterator[Item]:
    """Give the elements of an array; each is decoded by itself later.

    Raises:
        UnfitFileError: where the array itself is broken: cut off, a comma missing, text after its end.
    """
    window = _Window(stream, offset, name, limits)
    window.next_byte()
    window.place += 1  # the bracket that told it is an array
    if window.next_byte() == b"]":
        window.place += 1
    else:
        yield from _elements(window)
    if window.next_byte():
        raise window.fail("there is text after the end of the JSON array.")


def _elements(window: _Window) -> Iterator[Item]:
    while True:
        first = window.next_byte()
        if first in {b",", b"]"}:
            raise window.fail("an element of the JSON array is missing between two commas or before the end.")
        window.drop()
        if not first:
            raise window.fail("the JSON array does not end: the file was cut off.")
        end = _end_of_element(window)
        yield Item(window.line, window.offset, window.data[:end])
        window.place = end
        mark = window.next_byte()
        window.place += 1
        if mark == b"]":
            return
        if mark != b",":
            window.place -= 1
            if not mark:
                raise window.fail("the JSON array does not end: the file was cut off.")
            raise window.fail("a comma is missing between two elements of the JSON array.")


def _end_of_element(window: _Window) -> int:
    if window.data[:1] not in {b"{", b"[", b'"'}:
        while not (found := _SCALAR_END.search(window.data)):
            if not window.more():
                raise window.fail("the JSON array does not end: the file was cut off.")
        return found.start()
    depth = place = 0
    while True:
        mark = _MARK.search(window.data, place)
        if mark is None:
            place = len(window.data)
        elif mark[0] == b'"':
            end = _STRING_END.match(window.data, mark.end())
            if end:
                place = end.end()
                if depth == 0:
                    return place
                continue
            place = mark.start()
        else:
            depth += 1 if mark[0] in b"{[" else -1
            place = mark.end()
            if depth == 0:
                return place
            continue
        if not window.more():
            raise window.fail("the JSON array does not end: the file was cut off.")
