"""Pages of the stored traces, the newest first, whatever the number of traces and of rows to skip."""

from dataclasses import dataclass

from django.db import connection
from django.db.models import QuerySet

from datasets_app.models import Trace, TraceSource
from datasets_app.selectors import visible_traces

# Up to here rows are told visible or not one by one; beyond, whole rows are counted and skipped.
EXACT = 10_000


@dataclass(frozen=True, slots=True)
class StoredPage:
    """Some stored traces, how many there are, and whether that number is exact or the most there can be."""

    traces: list[Trace]
    count: int
    is_exact: bool = True


def stored_page(*, source: str | None, content_hash: str | None, offset: int, limit: int) -> StoredPage:
    """Read a page of the visible traces, of one source or with one hash where asked."""
    if content_hash is not None:
        rows = visible_traces().filter(content_hash=content_hash)
        rows = rows if source is None else rows.filter(sources__source=source)
        return StoredPage(_with_sources(rows.order_by("-pk")[offset : offset + limit]), rows.count())
    if source is not None:
        return _of_source(source, offset, limit)
    return _of_all(offset, limit)


def _of_source(source: str, offset: int, limit: int) -> StoredPage:
    """Whatever has a source is visible, and each trace has it once: its index alone tells the page."""
    named = TraceSource.objects.filter(source=source).order_by("-trace_id")
    chosen = list(named.values_list("trace_id", flat=True)[offset : offset + limit])
    return StoredPage(_with_sources(Trace.objects.filter(pk__in=chosen).order_by("-pk")), named.count())


def _of_all(offset: int, limit: int) -> StoredPage:
    """Skip in an index; the rows of the page alone are read.

    SQLite has the rows themselves in the order of their keys, and is faster along the index of
    creation times; PostgreSQL has an index of keys.

    Beyond `EXACT` rows that are not visible are skipped like others, and the page leaves them out:
    it may then be shorter than asked for, but no visible trace is left out between two pages.
    """
    visible = visible_traces()
    newest_first = ("-created_at", "-pk") if connection.vendor == "sqlite" else ("-pk",)
    seen = visible.order_by().values("pk")[: EXACT + 1].count()
    count = seen if seen <= EXACT else Trace.objects.count()
    if offset + limit <= EXACT or seen <= EXACT:
        page = visible.order_by(*newest_first)[offset : offset + limit]
        return StoredPage(_with_sources(page), count, seen <= EXACT)
    ids = Trace.objects.order_by(*newest_first).values_list("pk", flat=True)[offset : offset + limit]
    page = visible.filter(pk__in=list(ids)).order_by(*newest_first)
    return StoredPage(_with_sources(page), count, is_exact=False)


def _with_sources(rows: QuerySet[Trace]) -> list[Trace]:
    return list(rows.prefetch_related("sources"))
