"""What comes of an import, and who looks on."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets_app.imports.reader import Preview
from datasets_app.imports.rejects import Refusal
from datasets_app.models import Dataset


@dataclass(slots=True)
class Outcome:
    """What came of an import. ``existing`` traces were in the dataset already, on the same side."""

    dataset: Dataset | None
    created: bool = False
    imported: int = 0
    existing: int = 0
    refused: int = 0
    seconds: float = 0.0
    overlap: int = 0
    rejects: Path | None = None
    first_refused: list[Refusal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def as_json(self, key: str) -> dict[str, Any]:
        """Give it as commands print it."""
        return {
            "key": key,
            "content_hash": self.dataset.content_hash if self.dataset else None,
            "imported": self.imported,
            "refused": self.refused,
            "seconds": round(self.seconds, 3),
            "existing": self.existing,
            "created": self.created,
            "trace_count": self.dataset.trace_count if self.dataset else None,
            "rejects": str(self.rejects) if self.rejects else None,
            "overlap": self.overlap,
        }


@dataclass(slots=True)
class Watch:
    """Who looks on: each is called when there is something to tell."""

    previewed: Callable[[Preview], None] = lambda _preview: None
    progressed: Callable[[int, Outcome], None] = lambda _bytes, _outcome: None
    counted: Callable[[Outcome], None] = lambda _outcome: None
