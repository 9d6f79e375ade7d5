"""The runs that fit a search, as CSV or JSON lines, one after the other however many there are."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from django.db.models import QuerySet

from runs.listing.columns import COLUMNS, CONFIG_COLUMNS
from runs.listing.page import with_short_facts
from runs.models import Run

ROWS_AT_ONCE: Final = 500
# What a spreadsheet takes for the beginning of a formula, when it stands first in a cell of text.
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")


def facts_of(run: Run) -> dict[str, Any]:
    """Give every column of a run by name, as plain values."""
    facts: dict[str, Any] = {}
    for column in COLUMNS.values():
        facts |= column.export(run)
    return {
        **facts,
        "uid": str(run.uid),
        "phase": run.phase,
        "notes": run.notes,
        "archived_at": run.archived_at.isoformat() if run.archived_at else None,
        "params_hash": run.params_hash,
        "url": run.get_absolute_url(),
    }


def export_rows(runs: QuerySet[Run]) -> Iterator[Run]:
    """Read runs in their order, a few hundred at a time."""
    whole = with_short_facts(runs).defer(None).defer("provenance", "result", "params", "error", "origin")
    return whole.iterator(chunk_size=ROWS_AT_ONCE)


def as_jsonl(runs: QuerySet[Run]) -> Iterator[str]:
    """Write a run a line, its config as an object."""
    for run in export_rows(runs):
        yield json.dumps({**facts_of(run), "config": run.config}, ensure_ascii=False, allow_nan=False) + "\n"


def as_csv(runs: QuerySet[Run]) -> Iterator[str]:
    """Write a header and a run a line, with a column for each field of the config.

    Text that a spreadsheet would take for a formula gets an apostrophe before it.
    """
    names = [*_names(), *CONFIG_COLUMNS]
    yield _line(names)
    for run in export_rows(runs):
        facts = facts_of(run)
        for column in CONFIG_COLUMNS.values():
            facts |= column.export(run)
        yield _line([_safe(facts.get(name)) for name in names])


def _names() -> list[str]:
    nobody = Run(pk=1, config={}, device_kind="cpu")
    nobody.__dict__["tag_text"] = ""
    return list(facts_of(nobody))


def _safe(value: Any) -> Any:
    if isinstance(value, list):
        value = " ".join(map(str, value))
    if isinstance(value, str) and value.startswith(FORMULA):
        return f"'{value}"
    return value


def _line(values: Sequence[Any]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow(values)
    return out.getvalue()
