"""The file of refused lines: one JSON object each, with the line itself, so that it can be mended."""

import base64
from pathlib import Path
from typing import IO, Any, Self

import msgspec
from django.conf import settings

NAMED = 5
REJECTS = "rejects.jsonl"


class Refusal(msgspec.Struct, frozen=True):
    """A record that cannot be taken: where, which field, why, and its bytes."""

    line: int
    offset: int
    field: str
    reason: str
    raw: bytes

    def __str__(self) -> str:
        return f"line {self.line} (byte {self.offset}), {self.field}: {self.reason}"

    def as_json(self) -> dict[str, Any]:
        """Give it as plain data; bytes that are no UTF-8 stand in base64 beside what can be read of them."""
        try:
            text, more = self.raw.decode().rstrip("\r\n"), {}
        except UnicodeDecodeError:
            text = self.raw.decode(errors="replace").rstrip("\r\n")
            more = {"base64": base64.b64encode(self.raw).decode()}
        known = {"line": self.line, "offset": self.offset, "field": self.field, "reason": self.reason}
        return known | {"text": text} | more


def folder_of(import_id: int) -> Path:
    """Give the folder of an import."""
    return Path(settings.TUNIX_ARTIFACTS_DIR) / "imports" / str(import_id)


class Rejects:
    """Collects refused records in the import's folder; the file is there only if there are any."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._file: IO[bytes] | None = None
        self.count = 0
        self.first: list[Refusal] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    @property
    def path(self) -> Path | None:
        """Where the refused lines lie, if any do."""
        return self._folder / REJECTS if self._folder is not None and self.count else None

    def add(self, refusal: Refusal) -> None:
        """Write one down."""
        self.count += 1
        if len(self.first) < NAMED:
            self.first.append(refusal)
        if self._folder is None:
            return
        if self._file is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._file = (self._folder / REJECTS).open("wb")
        self._file.write(msgspec.json.encode(refusal.as_json()) + b"\n")
