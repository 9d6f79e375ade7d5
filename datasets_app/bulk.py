"""Rows of traces and memberships in bulk: one statement a batch, whatever the database.

What is written here is called inside a transaction; the unique hash of a trace decides who was first.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import batched
from typing import TYPE_CHECKING, Any

import msgspec
from django.db import IntegrityError, connection
from django.utils import timezone

if TYPE_CHECKING:
    from datasets_app.publishing import Member

IN_ONE_QUERY = 5000
# Few, large statements: SQLite works through one without Python's lock, and another thread goes on.
ROWS_A_STATEMENT = 2000
# Hashes come in no order, so their index is touched all over: with room for it in memory, and
# the log folded back less often, a million traces go in as fast as the first thousand.
CACHE_KIB = 64 * 1024
LOG_PAGES = 40_000

_encode = msgspec.json.Encoder(order="deterministic").encode

_INSERT_TRACE = """
INSERT INTO datasets_app_trace
(content_hash, prompt_hash, prompt, steps, final_answer, step_count, size_bytes, created_at)
"""
_INSERT_MEMBER = """
INSERT INTO datasets_app_datasettrace
(dataset_id, position, trace_id, split, family, source, licence, meta)
"""
_TRACE_ROWS = """
SELECT content_hash, prompt_hash, prompt, steps::jsonb, final_answer, step_count, size_bytes, %s
FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::int[], %s::int[])
AS row(content_hash, prompt_hash, prompt, steps, final_answer, step_count, size_bytes)
"""
_MEMBER_ROWS_IN_SQLITE = """
SELECT %s, row.column1, trace.id, row.column2, row.column3, row.column4, row.column5, row.column6
FROM (VALUES {}) AS row
CROSS JOIN datasets_app_trace AS trace ON trace.content_hash = row.column7
"""
_MEMBER_ROWS = """
SELECT %s, row.position, trace.id, row.split, row.family, row.source, row.licence, row.meta::jsonb
FROM unnest(%s::int[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[])
AS row(position, split, family, source, licence, meta, content_hash)
JOIN datasets_app_trace AS trace ON trace.content_hash = row.content_hash
"""
_NO_LONGER_USED = """
DELETE FROM datasets_app_trace WHERE id IN ({})
AND NOT EXISTS (SELECT 1 FROM datasets_app_datasettrace WHERE trace_id = datasets_app_trace.id)
AND NOT EXISTS (SELECT 1 FROM datasets_app_tracesource WHERE trace_id = datasets_app_trace.id)
"""


@contextmanager
def tuned() -> Iterator[None]:
    """Give SQLite memory for many rows; the connection gets its own settings back afterwards."""
    if connection.vendor != "sqlite" or connection.in_atomic_block:
        yield
        return
    with connection.cursor() as cursor:
        before = {name: _pragma(cursor, name) for name in ("cache_size", "wal_autocheckpoint")}
        cursor.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        cursor.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            for name, value in before.items():
                cursor.execute(f"PRAGMA {name} = {value}")


def _pragma(cursor: Any, name: str) -> int:
    return int(cursor.execute(f"PRAGMA {name}").fetchone()[0])


def insert_traces(members: Sequence["Member"]) -> None:
    """Store the traces that are not stored yet, by hash: two writers never lock each other."""
    unique = {member.content_hash: member for member in members}
    now = connection.ops.adapt_datetimefield_value(timezone.now())
    rows = [_trace_row(unique[content_hash]) for content_hash in sorted(unique)]
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            for some in batched(rows, ROWS_A_STATEMENT):
                values = [value for row in some for value in (*row, now)]
                cursor.execute(
                    f"{_INSERT_TRACE}VALUES {_places(len(some), 8)} ON CONFLICT (content_hash) DO NOTHING",
                    values,
                )
        else:
            columns = [list(column) for column in zip(*rows, strict=True)]
            cursor.execute(f"{_INSERT_TRACE}{_TRACE_ROWS}ON CONFLICT DO NOTHING", [now, *columns])


def _trace_row(member: "Member") -> tuple[Any, ...]:
    record = member.record
    size = len(record.prompt.encode()) + len(record.final_answer.encode())
    for step in record.steps:
        size += len(step.content.encode())
    return (
        member.content_hash,
        member.prompt_hash,
        record.prompt,
        _encode(record.steps).decode(),
        record.final_answer,
        len(record.steps),
        size,
    )


def insert_memberships(*, dataset_id: int, members: Sequence["Member"], first: int) -> None:
    """Put stored traces into a dataset, at the positions from ``first`` on.

    Raises:
        IntegrityError: if a trace went away in between; the batch can be tried again.
    """
    rows = [
        (
            position,
            member.split,
            member.family,
            member.source,
            member.licence,
            _encode(member.meta).decode() if member.meta else "{}",
            member.content_hash,
        )
        for position, member in enumerate(members, start=first)
    ]
    stored = 0
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            for some in batched(rows, ROWS_A_STATEMENT):
                source = _MEMBER_ROWS_IN_SQLITE.format(_places(len(some), 7))
                values = [value for row in some for value in row]
                cursor.execute(_INSERT_MEMBER + source, [dataset_id, *values])
                stored += cursor.rowcount
        else:
            columns = [list(column) for column in zip(*rows, strict=True)]
            cursor.execute(_INSERT_MEMBER + _MEMBER_ROWS, [dataset_id, *columns])
            stored = cursor.rowcount
        if stored != len(rows):
            raise IntegrityError("A trace was removed while its dataset was written.")


def _places(rows: int, columns: int) -> str:
    return ", ".join([f"({', '.join(['%s'] * columns)})"] * rows)


def trace_ids(hashes: Sequence[str]) -> dict[str, int]:
    """Find the row ids of stored traces by hash; the rows stay until the transaction ends."""
    hold = "" if connection.vendor == "sqlite" else " ORDER BY id FOR KEY SHARE"
    found: dict[str, int] = {}
    with connection.cursor() as cursor:
        for some in batched(hashes, IN_ONE_QUERY):
            places = ", ".join(["%s"] * len(some))
            # S608: only the number of placeholders varies.
            query = f"SELECT content_hash, id FROM datasets_app_trace WHERE content_hash IN ({places}){hold}"  # noqa: S608
            cursor.execute(query, some)
            found.update(cursor.fetchall())
    return found


def held_by(*, dataset_id: int, hashes: Sequence[str]) -> set[tuple[str, str]]:
    """Find which of these traces a dataset holds, as pairs of split and hash."""
    found: set[tuple[str, str]] = set()
    with connection.cursor() as cursor:
        for some in batched(hashes, IN_ONE_QUERY):
            places = ", ".join(["%s"] * len(some))
            # S608: only the number of placeholders varies.
            query = (
                "SELECT member.split, trace.content_hash FROM datasets_app_trace AS trace "  # noqa: S608
                "JOIN datasets_app_datasettrace AS member ON member.trace_id = trace.id "
                f"WHERE member.dataset_id = %s AND trace.content_hash IN ({places})"
            )
            cursor.execute(query, [dataset_id, *some])
            found.update(cursor.fetchall())
    return found


def copy_memberships(*, source_id: int, target_id: int, first: int, last: int) -> None:
    """Put the traces at the positions ``first`` to ``last`` of one dataset into another, in place."""
    columns = "position, trace_id, split, family, source, licence, meta"
    with connection.cursor() as cursor:
        cursor.execute(
            f"{_INSERT_MEMBER}SELECT %s, {columns} FROM datasets_app_datasettrace "  # noqa: S608 - no value in it
            "WHERE dataset_id = %s AND position BETWEEN %s AND %s",
            [target_id, source_id, first, last],
        )


def delete_unused(ids: Sequence[int]) -> None:
    """Remove those of these traces that no dataset and no source names any more."""
    with connection.cursor() as cursor:
        for some in batched(ids, IN_ONE_QUERY):
            cursor.execute(_NO_LONGER_USED.format(", ".join(["%s"] * len(some))), some)
