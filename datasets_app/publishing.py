"""How the content of a dataset gets into the database: written unseen, then published at once."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import batched
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from datasets_app.models import Dataset, DatasetTrace, Trace
from datasets_app.traces import TRAIN, ContentHasher, TraceRecord, prompt_hash, split_of, trace_hash
from tunix_site.errors import ConflictError, InvalidInputError

BATCH = 1000
ABANDONED_AFTER = timedelta(hours=1)

type Progress = Callable[[int, int], None]
"""Called with (traces written, traces in all) at every batch, also while only hashes are made."""


@dataclass(frozen=True, slots=True)
class Member:
    """A trace on its way into a dataset, with its hashes, its split and where it came from."""

    record: TraceRecord
    content_hash: str
    prompt_hash: str
    split: str
    family: str = ""
    source: str = ""
    licence: str = ""
    meta: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Draft:
    """What is known about a dataset before its content is."""

    key: str
    recipe: dict[str, Any]
    description: str = ""
    source: str = ""
    licence: str = ""
    generator: str = ""


@dataclass(frozen=True, slots=True)
class PublishResult:
    """The dataset that now holds the content, and whether it was not there before."""

    dataset: Dataset
    created: bool


def member_of(record: TraceRecord, *, family: str, source: str, licence: str, meta: dict[str, Any]) -> Member:
    """Hash a trace and put it on the side that its prompt belongs to."""
    hashed_prompt = prompt_hash(record.prompt)
    return Member(
        record=record,
        content_hash=trace_hash(record.prompt, record.steps, record.final_answer),
        prompt_hash=hashed_prompt,
        split=split_of(hashed_prompt),
        family=family,
        source=source,
        licence=licence,
        meta=meta,
    )


@dataclass(frozen=True, slots=True)
class _Summary:
    content_hash: str
    trace_count: int
    train_count: int


def publish(
    *, draft: Draft, members: Callable[[], Iterable[Member]], progress: Progress | None = None
) -> PublishResult:
    """Store a content under a key, or find that it is there already; nothing half-done is ever visible.

    ``members`` is called twice and must give the same traces both times: the first pass makes the
    content hash, the second writes, in short transactions, under a dataset that nobody sees until
    one small transaction publishes it.

    Raises:
        InvalidInputError: if there is no trace at all.
    """
    tell = progress or (lambda _done, _total: None)
    summary = _summarise(members(), tell)
    if summary.trace_count == 0:
        raise InvalidInputError(f"{draft.key}: there is no trace to put into it.")
    known = find_content(key=draft.key, content_hash=summary.content_hash)
    if known is not None:
        return PublishResult(known, created=False)
    sweep_abandoned()
    dataset = Dataset.objects.create(
        key=draft.key,
        recipe=draft.recipe,
        description=draft.description,
        source=draft.source,
        licence=draft.licence,
        generator=draft.generator,
    )
    try:
        _write(dataset, members(), summary, tell)
        return _make_visible(dataset, summary)
    except BaseException:
        discard(dataset)
        raise


def find_content(*, key: str, content_hash: str) -> Dataset | None:
    """Find the published dataset of a key that has exactly this content."""
    published = Dataset.objects.filter(status=Dataset.Status.PUBLISHED)
    return published.filter(key=key, content_hash=content_hash).first()


def newest_of_key(key: str) -> Dataset | None:
    """Find what a bare key addresses: the content published last."""
    published = Dataset.objects.filter(status=Dataset.Status.PUBLISHED, key=key)
    return published.order_by("-published_at", "-pk").first()


def discard(dataset: Dataset) -> None:
    """Remove an unpublished dataset with its memberships, in short transactions."""
    while True:
        places = DatasetTrace.objects.filter(dataset_id=dataset.pk).order_by("position")
        some = list(places.values_list("pk", flat=True)[: BATCH * 5])
        if not some:
            break
        DatasetTrace.objects.filter(pk__in=some, dataset__status=Dataset.Status.BUILDING).delete()
        if Dataset.objects.filter(pk=dataset.pk, status=Dataset.Status.PUBLISHED).exists():
            return
    Dataset.objects.filter(pk=dataset.pk, status=Dataset.Status.BUILDING).delete()


def sweep_abandoned() -> int:
    """Remove what builds left behind that were killed; gives their number.

    Their traces stay (another dataset may hold them by now) but are not visible.
    """
    silent_since = timezone.now() - ABANDONED_AFTER
    left = list(Dataset.objects.filter(status=Dataset.Status.BUILDING, touched_at__lt=silent_since))
    for dataset in left:
        discard(dataset)
    return len(left)


def store_traces(members: Iterable[Member]) -> dict[str, int]:
    """Put traces into the database where they are not there yet; gives row id by content hash.

    Safe against another writer of the same traces: the unique hash decides, and rows go in
    sorted by it, so that two writers cannot wait for each other.
    """
    unique = {member.content_hash: member for member in members}
    hashes = sorted(unique)
    known = _ids_of(hashes)
    rows = [_row(unique[content_hash]) for content_hash in hashes if content_hash not in known]
    if rows:
        Trace.objects.bulk_create(rows, batch_size=BATCH, ignore_conflicts=True)
        known |= _ids_of([row.content_hash for row in rows])
    return known


def _ids_of(hashes: list[str]) -> dict[str, int]:
    rows = Trace.objects.filter(content_hash__in=hashes)
    return dict(rows.values_list("content_hash", "pk"))


def _row(member: Member) -> Trace:
    record = member.record
    texts = [record.prompt, record.final_answer, *(step.content for step in record.steps)]
    return Trace(
        content_hash=member.content_hash,
        prompt_hash=member.prompt_hash,
        prompt=record.prompt,
        steps=[{"i": step.i, "type": step.type, "content": step.content} for step in record.steps],
        final_answer=record.final_answer,
        step_count=len(record.steps),
        size_bytes=sum(len(text.encode()) for text in texts),
    )


def _summarise(members: Iterable[Member], tell: Progress) -> _Summary:
    hasher = ContentHasher()
    total = train = 0
    for member in members:
        hasher.add(split=member.split, content_hash=member.content_hash)
        total += 1
        train += member.split == TRAIN
        if total % BATCH == 0:
            tell(0, 0)
    return _Summary(hasher.hexdigest(), total, train)


def _write(dataset: Dataset, members: Iterable[Member], summary: _Summary, tell: Progress) -> None:
    done = 0
    hasher = ContentHasher()
    tell(0, summary.trace_count)
    for batch in batched(members, BATCH):
        with transaction.atomic():
            ids = store_traces(batch)
            DatasetTrace.objects.bulk_create(_memberships(dataset, batch, ids, first=done), batch_size=BATCH)
            touched = Dataset.objects.filter(pk=dataset.pk, status=Dataset.Status.BUILDING)
            if not touched.update(touched_at=timezone.now()):
                raise ConflictError(f"{dataset.key}: the build was taken for abandoned and swept away.")
        for member in batch:
            hasher.add(split=member.split, content_hash=member.content_hash)
        done += len(batch)
        tell(done, summary.trace_count)
    if hasher.hexdigest() != summary.content_hash:
        raise ConflictError(f"{dataset.key}: the traces changed while they were written. Try again.")


def _memberships(
    dataset: Dataset, batch: Iterable[Member], ids: dict[str, int], *, first: int
) -> Iterator[DatasetTrace]:
    for position, member in enumerate(batch, start=first):
        yield DatasetTrace(
            dataset=dataset,
            position=position,
            trace_id=ids[member.content_hash],
            split=member.split,
            family=member.family,
            source=member.source,
            licence=member.licence,
            meta=member.meta,
        )


def _make_visible(dataset: Dataset, summary: _Summary) -> PublishResult:
    try:
        with transaction.atomic():
            dataset.parent = newest_of_key(dataset.key)
            dataset.content_hash = summary.content_hash
            dataset.trace_count = summary.trace_count
            dataset.train_count = summary.train_count
            dataset.test_count = summary.trace_count - summary.train_count
            dataset.status = Dataset.Status.PUBLISHED
            dataset.published_at = timezone.now()
            dataset.save()
    except IntegrityError:
        # Somebody else published the same content first: theirs stands, ours goes.
        winner = find_content(key=dataset.key, content_hash=summary.content_hash)
        if winner is None:
            raise
        discard(dataset)
        return PublishResult(winner, created=False)
    return PublishResult(dataset, created=True)
