"""Changes to traces and datasets."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from datasets_app import manifest, search
from datasets_app.generators import GeneratorSpec, generator_for
from datasets_app.models import Dataset, Trace, TraceSource
from datasets_app.publishing import Draft, Member, Progress, PublishResult, member_of, publish, store_traces
from datasets_app.selectors import visible_traces
from datasets_app.traces import TraceError, TraceRecord, check_characters, validate_trace
from datasets_app.traces_file import TracesFile

KEPT_IN_MEMORY = 20_000

type HandedIn = tuple[TraceRecord, str, str, str]
"""A trace with its source, licence and family."""


@dataclass(frozen=True, slots=True)
class SeedResult:
    """A seeded dataset, and whether this call made it."""

    dataset: Dataset
    created: bool


@dataclass(frozen=True, slots=True)
class StoredTrace:
    """A trace that was handed in, and whether it was new."""

    trace: Trace
    created: bool


def seed_dataset(
    *, key: str, count: int | None = None, seed: int = 0, progress: Progress | None = None
) -> SeedResult:
    """Generate a dataset; where the same content is there already, change nothing.

    Another count, seed or generator version is another content of the same key, with the one
    before as its parent. ``count`` None is the generator's default.

    Raises:
        InvalidInputError: unknown key, or a count or seed out of bounds.
    """
    spec = generator_for(key)
    wanted = spec.default_count if count is None else count
    spec.check_request(count=wanted, seed=seed)
    draft = Draft(
        key=key,
        recipe=spec.recipe(count=wanted, seed=seed),
        description=spec.summary,
        source=spec.source,
        licence=spec.licence,
        generator=key,
    )
    if wanted <= KEPT_IN_MEMORY:
        kept = list(_generated(spec, wanted, seed))
        result = publish(draft=draft, members=lambda: kept, progress=progress)
    else:
        result = publish(draft=draft, members=lambda: _generated(spec, wanted, seed), progress=progress)
    finish(result)
    return SeedResult(result.dataset, result.created)


def _generated(spec: GeneratorSpec, count: int, seed: int) -> Iterator[Member]:
    for made in spec.generate(count=count, seed=seed):
        yield member_of(made.record, family=made.family, source=spec.source, licence=spec.licence, meta={})


def finish(result: PublishResult, file: TracesFile | None = None) -> None:
    """Write files and index words once a content is committed (again, where they are missing).

    ``file`` is what was written of the content already.
    """
    key = result.dataset.key
    made = (result.dataset, file) if file is not None else None
    if result.created or not manifest.is_current(key=key):
        transaction.on_commit(lambda: manifest.write_files(key=key, made=made))
    if not search.is_ready(dataset=result.dataset):
        transaction.on_commit(lambda: search.plan_index(dataset=result.dataset))


def store_handed_in(*, traces: Sequence[HandedIn]) -> list[StoredTrace]:
    """Store traces that came by themselves, all or none; gives them in the order given.

    The same trace again from the same source keeps one row, with the newest family, licence and meta.

    Raises:
        TraceError: if any trace breaks a rule, saying which trace.
    """
    prefixes = [f"traces[{place}]." for place in range(len(traces))] if len(traces) > 1 else [""]
    members = [_checked(prefix, *given) for prefix, given in zip(prefixes, traces, strict=False)]
    hashes = [member.content_hash for member in members]
    with transaction.atomic():
        seen = set(visible_traces().filter(content_hash__in=hashes).values_list("content_hash", flat=True))
        ids = store_traces(members)
        rows = {(ids[member.content_hash], member.source): member for member in members}
        TraceSource.objects.bulk_create(
            [_source_row(trace_id, rows[trace_id, source]) for trace_id, source in sorted(rows)],
            update_conflicts=True,
            unique_fields=["trace", "source"],
            update_fields=["family", "licence", "meta"],
        )
        found = Trace.objects.prefetch_related("sources").in_bulk(list(set(ids.values())))
    stored = []
    for member in members:
        stored.append(StoredTrace(found[ids[member.content_hash]], created=member.content_hash not in seen))
        seen.add(member.content_hash)
    return stored


def _checked(prefix: str, record: TraceRecord, source: str, licence: str, family: str) -> Member:
    try:
        validate_trace(record)
        for field, text in (("source", source), ("licence", licence), ("family", family)):
            check_characters(field, text)
    except TraceError as error:
        raise TraceError(f"{prefix}{error.field}", error.problem) from error
    return member_of(record, family=family, source=source, licence=licence, meta=record.meta)


def _source_row(trace_id: int, member: Member) -> TraceSource:
    return TraceSource(
        trace_id=trace_id,
        source=member.source,
        family=member.family,
        licence=member.licence,
        meta=member.meta,
    )


def as_json(dataset: Dataset, *, created: bool) -> dict[str, Any]:
    """Describe the outcome of a seeding or a build as commands print it."""
    return {
        "key": dataset.key,
        "content_hash": dataset.content_hash,
        "trace_count": dataset.trace_count,
        "created": created,
    }
