"""What can be read about traces and datasets. Only published content is ever given."""

import re
from collections.abc import Iterator, Sequence
from itertools import batched
from typing import Any

import msgspec
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Count, Exists, F, Max, Min, OuterRef, Q, QuerySet

from datasets_app.generators import GENERATORS
from datasets_app.models import Dataset, DatasetFacts, DatasetTrace, Trace, TraceSource
from datasets_app.publishing import newest_of_key
from datasets_app.traces import Step, TraceRecord
from tunix_site.errors import InvalidInputError, NotFoundError

CHUNK = 2000
KEYS_NAMED = 20
_HASH_PREFIX = re.compile(r"[0-9a-f]{4,64}")


class MemberTrace(msgspec.Struct, frozen=True, gc=False):
    """A trace as it stands in a dataset. ``steps`` are the texts alone, ``step_records`` all of them."""

    position: int
    split: str
    content_hash: str
    prompt: str
    steps: tuple[str, ...]
    final_answer: str
    family: str
    step_records: tuple[Step, ...]
    source: str
    licence: str
    meta: dict[str, Any]

    @property
    def record(self) -> TraceRecord:
        """The trace as plain data."""
        return TraceRecord(
            prompt=self.prompt, steps=self.step_records, final_answer=self.final_answer, meta=self.meta
        )


def list_datasets() -> QuerySet[Dataset]:
    """Give all published datasets, the newest content of each key first."""
    return Dataset.objects.filter(status=Dataset.Status.PUBLISHED).order_by("key", "-published_at", "-pk")


def resolve_dataset(*, address: str) -> Dataset:
    """Find what ``KEY`` (its newest content) or ``KEY@HASHPREFIX`` addresses.

    Raises:
        NotFoundError: naming the datasets there are and the command that seeds one.
        InvalidInputError: if the prefix is no hash prefix, or fits several contents.
    """
    key, at, prefix = address.partition("@")
    if "\x00" in key:  # PostgreSQL refuses to be asked for one, and no key has it
        raise _unknown(address)
    if not at:
        newest = newest_of_key(key)
        if newest is None:
            raise _unknown(address)
        return newest
    if not _HASH_PREFIX.fullmatch(prefix):
        raise InvalidInputError(
            f"{address!r}: after @ there must be 4 to 64 digits of the content hash (0-9, a-f)."
        )
    found = list(list_datasets().filter(key=key, content_hash__startswith=prefix)[:2])
    if len(found) > 1:
        raise InvalidInputError(f"{address!r} fits several contents of {key}; give more digits.")
    if not found:
        raise _unknown(address)
    return found[0]


def _unknown(address: str) -> NotFoundError:
    key = address.partition("@")[0]
    same_key = list_datasets().filter(key=key) if "\x00" not in key else list_datasets().none()
    contents = [dataset.address for dataset in same_key[:KEYS_NAMED]]
    if contents:
        return NotFoundError(
            f"There is no dataset {address!r}.", hint=f"Of {key} there are: {', '.join(contents)}."
        )
    keys = list(list_datasets().order_by("key").values_list("key", flat=True).distinct()[:KEYS_NAMED])
    there_are = f"There are: {', '.join(keys)}." if keys else "There is none yet."
    seed = key if key in GENERATORS else "golden-v2"
    return NotFoundError(
        f"There is no dataset {address!r}. {there_are}",
        hint=f"Make one with: manage.py seed_dataset --dataset {seed}",
    )


def members(
    *, dataset: Dataset, split: str | None = None, family: str | None = None
) -> QuerySet[DatasetTrace]:
    """Give the memberships of a dataset in order, of one split or family where asked."""
    rows = DatasetTrace.objects.filter(dataset=dataset).order_by("position")
    if split:
        rows = rows.filter(split=split)
    return rows if family is None else rows.filter(family=family)


_COLUMNS = (
    "position",
    "split",
    "trace__content_hash",
    "trace__prompt",
    "trace__steps",
    "trace__final_answer",
    "family",
    "source",
    "licence",
    "meta",
)


def _as_member(row: tuple[Any, ...]) -> MemberTrace:
    position, split, content_hash, prompt, steps, final_answer, family, source, licence, meta = row
    records = tuple(Step(i=step["i"], type=step["type"], content=step["content"]) for step in steps)
    return MemberTrace(
        position=position,
        split=split,
        content_hash=content_hash,
        prompt=prompt,
        steps=tuple(step.content for step in records),
        final_answer=final_answer,
        family=family,
        step_records=records,
        source=source,
        licence=licence,
        meta=meta,
    )


def member_traces(*, dataset: Dataset, split: str | None = None) -> Iterator[MemberTrace]:
    """Read the traces of a dataset in order, few at a time, so that memory stays flat."""
    rows = members(dataset=dataset, split=split).values_list(*_COLUMNS)
    return map(_as_member, rows.iterator(chunk_size=CHUNK))


def members_at(*, dataset: Dataset, positions: Sequence[int]) -> Iterator[MemberTrace]:
    """Read the traces at some positions of a dataset, in order."""
    for some in batched(sorted(positions), 500):
        rows = members(dataset=dataset).filter(position__in=some)
        yield from map(_as_member, rows.values_list(*_COLUMNS))


def family_counts(*, dataset: Dataset) -> dict[str, int]:
    """Count the traces of each family (the empty name: of none)."""
    facts = DatasetFacts.objects.filter(dataset=dataset).first()
    if facts is not None:
        return dict(facts.families)
    rows = members(dataset=dataset).order_by("family").values_list("family").annotate(traces=Count("pk"))
    return dict(rows)


def provenance_counts(*, dataset: Dataset) -> list[dict[str, Any]]:
    """Count the traces of each source and licence."""
    facts = DatasetFacts.objects.filter(dataset=dataset).first()
    if facts is not None:
        return list(facts.provenance)
    rows = members(dataset=dataset).order_by("source", "licence").values("source", "licence")
    return [dict(row) for row in rows.annotate(traces=Count("pk"))]


def split_overlap(*, dataset: Dataset) -> int:
    """Count the normalised prompts that stand on both sides; zero where splits follow the prompt.

    One pass that groups: looked up one side in the other, PostgreSQL would compare all with all
    where it has no statistics yet.
    """
    prompts = members(dataset=dataset).order_by().values("trace__prompt_hash")
    sides = prompts.annotate(first=Min("split"), last=Max("split"))
    return sides.filter(first__lt=F("last")).count()


def visible_traces() -> QuerySet[Trace]:
    """Give the traces that somebody handed in or that a published dataset holds."""
    published = DatasetTrace.objects.filter(trace=OuterRef("pk"), dataset__status=Dataset.Status.PUBLISHED)
    handed_in = TraceSource.objects.filter(trace=OuterRef("pk"))
    return Trace.objects.filter(Q(Exists(handed_in)) | Q(Exists(published)))


def trace_by_id(*, trace_id: int) -> Trace:
    """Find a visible trace.

    Raises:
        NotFoundError: if there is none with this id.
    """
    trace = visible_traces().filter(pk=trace_id).first()
    if trace is None:
        raise NotFoundError(f"There is no trace {trace_id}.")
    return trace


def datasets_of_trace(*, trace: Trace) -> QuerySet[Dataset]:
    """Give the published datasets that hold a trace."""
    return list_datasets().filter(pk__in=trace.memberships.values("dataset"))


def trace_by_hash(*, content_hash: str) -> Trace:
    """Find a visible trace by its hash.

    Raises:
        NotFoundError: if there is none with this hash.
    """
    trace = Trace.objects.filter(content_hash=content_hash).first()
    if trace is None:
        raise NotFoundError(f"There is no trace {content_hash}.")
    return trace


def positions_of_trace(*, trace: Trace, datasets: Sequence[Dataset]) -> dict[int, int]:
    """Give the first position of a trace in each of some datasets, by their row."""
    wanted, first = {dataset.pk for dataset in datasets}, dict[int, int]()
    # Grouped by the database, SQLite would walk through all positions of the datasets.
    held = DatasetTrace.objects.filter(trace=trace).order_by()
    for dataset, position in held.values_list("dataset_id", "position"):
        if dataset in wanted:
            first[dataset] = min(position, first.get(dataset, position))
    return first


def runs_of_datasets(*, datasets: Sequence[Dataset]) -> Any:
    """Give what was trained on any of some datasets, the newest first.

    Runs point here and are found through that relation, for this app does not know theirs.
    """
    try:
        runs = Dataset._meta.get_field("runs").related_model
    except FieldDoesNotExist:
        return []
    keys = [dataset.pk for dataset in datasets]
    return runs._default_manager.filter(dataset__in=keys).select_related("dataset").order_by("-pk")
