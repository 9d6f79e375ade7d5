"""Choosing among the traces that are stored already."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import batched
from typing import Any

from django.db.models import BooleanField, F, Func, QuerySet, Value
from django.db.models.fields.json import KeyTransform
from django.utils import timezone

from datasets_app.build_request import BuildRequest, TraceFilters
from datasets_app.models import Dataset, DatasetTrace, TraceSource
from datasets_app.publishing import Member, member_of
from datasets_app.selectors import resolve_dataset
from datasets_app.traces import TraceRecord

FETCH = 500
type Rows = QuerySet[TraceSource] | QuerySet[DatasetTrace]


@dataclass(frozen=True, slots=True)
class Choice:
    """A stored trace that was chosen, and the row that says where it came from."""

    trace_id: int
    content_hash: str
    created_at: datetime
    row_id: int
    is_member: bool


def choose(request: BuildRequest) -> list[Choice]:
    """Choose the stored traces that a request asks for, the oldest first.

    ``latest`` keeps those stored last. ``random`` ranks by SHA-256 of seed and trace hash, so the
    same seed keeps the same traces on every machine, and more stored traces displace but never
    reorder. A trace with several sources comes with one that fits the filters, a source of its
    own before a dataset's.

    Raises:
        NotFoundError: if a filter names a dataset that is not there.
    """
    found: dict[int, Choice] = {}
    for is_member, rows in _candidates(request.filters or TraceFilters()):
        columns = rows.order_by("-pk").values_list(
            "trace_id", "trace__content_hash", "trace__created_at", "pk"
        )
        for trace_id, content_hash, created_at, row_id in columns.iterator(chunk_size=5000):
            if trace_id not in found:
                found[trace_id] = Choice(trace_id, content_hash, created_at, row_id, is_member)
    chosen = list(found.values())
    if request.most is not None and len(chosen) > request.most:
        if request.selection_strategy == "random":
            chosen.sort(key=lambda choice: _rank(request.seed, choice.content_hash))
        else:
            chosen.sort(key=_age, reverse=True)
        del chosen[request.most :]
    chosen.sort(key=_age)
    return chosen


def at_most(request: BuildRequest) -> int:
    """Tell quickly how many traces a request can give at most."""
    rows = sum(rows.count() for _, rows in _candidates(request.filters or TraceFilters()))
    return rows if request.most is None else min(rows, request.most)


def members_of(choices: list[Choice]) -> Iterator[Member]:
    """Read the chosen traces, in their order, few at a time."""
    for batch in batched(choices, FETCH):
        own = TraceSource.objects.select_related("trace").in_bulk(
            [choice.row_id for choice in batch if not choice.is_member]
        )
        held = DatasetTrace.objects.select_related("trace").in_bulk(
            [choice.row_id for choice in batch if choice.is_member]
        )
        for choice in batch:
            row: Any = (held if choice.is_member else own)[choice.row_id]
            trace = row.trace
            record = TraceRecord(
                prompt=trace.prompt, steps=trace.step_records, final_answer=trace.final_answer, meta=row.meta
            )
            yield member_of(record, family=row.family, source=row.source, licence=row.licence, meta=row.meta)


def _age(choice: Choice) -> tuple[datetime, int]:
    return choice.created_at, choice.trace_id


def _rank(seed: int, content_hash: str) -> bytes:
    return hashlib.sha256(f"{seed}/{content_hash}".encode()).digest()


def _candidates(filters: TraceFilters) -> list[tuple[bool, Rows]]:
    members = DatasetTrace.objects.filter(dataset__status=Dataset.Status.PUBLISHED)
    if filters.split is not None:
        members = members.filter(split=filters.split)
    if filters.dataset is not None:
        members = members.filter(dataset=resolve_dataset(address=filters.dataset))
    candidates: list[tuple[bool, Rows]] = [(True, _narrow(members, filters))]
    if filters.dataset is None and filters.split is None:
        candidates.insert(0, (False, _narrow(TraceSource.objects.all(), filters)))
    return candidates


def _narrow(rows: Any, filters: TraceFilters) -> Any:
    exact = {"source": filters.source, "licence": filters.licence, "family": filters.family}
    bounds = {
        "trace__step_count__gte": filters.min_steps,
        "trace__step_count__lte": filters.max_steps,
        "trace__size_bytes__gte": filters.min_bytes,
        "trace__size_bytes__lte": filters.max_bytes,
        "trace__created_at__gte": _aware(filters.created_after),
        "trace__created_at__lt": _aware(filters.created_before),
    }
    given = {name: value for name, value in (exact | bounds).items() if value is not None}
    rows = rows.filter(**given)
    if filters.tag is not None:
        rows = rows.filter(HasTag(F("meta"), Value(filters.tag)))
    for place, (name, value) in enumerate((filters.meta or {}).items()):
        rows = rows.alias(**{f"meta_{place}": KeyTransform(name, "meta")}).filter(**{f"meta_{place}": value})
    return rows


class HasTag(Func):
    """Whether the list ``tags`` in a JSON column holds a text."""

    output_field = BooleanField()
    arity = 2

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """Look through the list; where ``tags`` is no list there is nothing to look through."""
        column, column_values = compiler.compile(self.source_expressions[0])
        tag, tag_values = compiler.compile(self.source_expressions[1])
        listed = f"JSON_EACH({column}, '$.tags')"
        # S608: column is a name that Django quotes, tag a placeholder.
        found = f"SELECT 1 FROM {listed} AS one WHERE one.type = 'text' AND one.value = {tag}"  # noqa: S608
        sql = f"(JSON_TYPE({column}, '$.tags') = 'array' AND EXISTS ({found}))"
        return sql, [*column_values, *column_values, *tag_values]

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """Ask for the text as an element of the list."""
        column, column_values = compiler.compile(self.source_expressions[0])
        tag, tag_values = compiler.compile(self.source_expressions[1])
        sql = f"{column} @> jsonb_build_object('tags', jsonb_build_array({tag}::text))"
        return sql, [*column_values, *tag_values]


def _aware(moment: datetime | None) -> datetime | None:
    if moment is None or timezone.is_aware(moment):
        return moment
    return timezone.make_aware(moment)
