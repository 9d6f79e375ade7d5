"""How the content of a dataset gets into the database: written unseen, then published at once."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from itertools import batched
from typing import Any, Self

import msgspec
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from datasets_app import bulk
from datasets_app.models import Dataset, DatasetTrace
from datasets_app.traces import TRAIN, ContentHasher, TraceRecord, prompt_hash, split_of, trace_hash
from tunix_site.errors import ConflictError, InvalidInputError

BATCH = 5000
REMOVED_AT_ONCE = 5000
COPIED_AT_ONCE = 20_000
ATTEMPTS = 3
ABANDONED_AFTER = timedelta(hours=1)

type Progress = Callable[[int, int], None]
"""Called with (traces written, traces in all) at every batch, also while only hashes are made.

The last call before the content is published, or found, is the one with all of them written.
"""


class Member(msgspec.Struct, frozen=True, gc=False):
    """A trace on its way into a dataset, with its hashes, its split and where it came from."""

    record: TraceRecord
    content_hash: str
    prompt_hash: str
    split: str
    family: str = ""
    source: str = ""
    licence: str = ""
    meta: dict[str, Any] = {}


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


def member_of(
    record: TraceRecord,
    *,
    family: str,
    source: str,
    licence: str,
    meta: dict[str, Any],
    split: str | None = None,
) -> Member:
    """Hash a trace and put it on the side that was named, else the one that its prompt belongs to."""
    hashed_prompt = prompt_hash(record.prompt)
    return Member(
        record=record,
        content_hash=trace_hash(record.prompt, record.steps, record.final_answer),
        prompt_hash=hashed_prompt,
        split=split or split_of(hashed_prompt),
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
        tell(summary.trace_count, summary.trace_count)
        return PublishResult(known, created=False)
    sweep_abandoned()
    unpublished = Unpublished.begin(draft)
    try:
        with bulk.tuned():
            tell(0, summary.trace_count)
            for batch in batched(members(), BATCH):
                unpublished.add(batch)
                tell(unpublished.trace_count, summary.trace_count)
        if unpublished.content_hash != summary.content_hash:
            raise ConflictError(f"{draft.key}: the traces changed while they were written. Try again.")
        return unpublished.publish(parent=newest_of_key(draft.key))
    except BaseException:
        discard(unpublished.dataset)
        raise


class Unpublished:
    """A content while it is written, in short transactions; nobody sees it before `publish`."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.trace_count = 0
        self.train_count = 0
        self._hasher = ContentHasher()

    @classmethod
    def begin(cls, draft: Draft) -> Self:
        """Make room for a content."""
        return cls(
            Dataset.objects.create(
                key=draft.key,
                recipe=draft.recipe,
                description=draft.description,
                source=draft.source,
                licence=draft.licence,
                generator=draft.generator,
            )
        )

    @property
    def content_hash(self) -> str:
        """The content hash of what was added so far."""
        return self._hasher.hexdigest()

    def add(self, batch: Sequence[Member]) -> None:
        """Write the next traces, in one transaction.

        Raises:
            ConflictError: if the content was swept away meanwhile, as abandoned.
        """
        for attempt in range(ATTEMPTS):
            try:
                with transaction.atomic():
                    bulk.insert_traces(batch)
                    bulk.insert_memberships(dataset_id=self.dataset.pk, members=batch, first=self.trace_count)
                    self._touch()
                break
            except IntegrityError:
                # Somebody swept away a trace that was unused until now: it goes in anew.
                if attempt == ATTEMPTS - 1:
                    raise
        for member in batch:
            self._hasher.add(split=member.split, content_hash=member.content_hash)
            self.train_count += member.split == TRAIN
        self.trace_count += len(batch)

    def add_all_of(self, other: Dataset) -> Iterator[int]:
        """Write the traces of a published dataset, at their places; yields how many are written."""
        rows = DatasetTrace.objects.filter(dataset=other).order_by("position")
        for first in range(0, other.trace_count, COPIED_AT_ONCE):
            last = min(first + COPIED_AT_ONCE, other.trace_count) - 1
            with transaction.atomic():
                bulk.copy_memberships(source_id=other.pk, target_id=self.dataset.pk, first=first, last=last)
                self._touch()
            pairs = rows.filter(position__gte=first, position__lte=last).values_list(
                "split", "trace__content_hash"
            )
            for split, content_hash in pairs:
                self._hasher.add(split=split, content_hash=content_hash)
                self.train_count += split == TRAIN
                self.trace_count += 1
            yield self.trace_count

    def publish(self, *, parent: Dataset | None, only_if_newest: bool = False) -> PublishResult:
        """Make the content visible, or find that it is there already; then what was written goes.

        Raises:
            ConflictError: with ``only_if_newest``, if ``parent`` is no longer what the key addresses.
        """
        dataset, content_hash = self.dataset, self.content_hash
        known = find_content(key=dataset.key, content_hash=content_hash)
        if known is None:
            try:
                with transaction.atomic():
                    _wait_for_turn(dataset.key)
                    if only_if_newest and newest_of_key(dataset.key) != parent:
                        raise ConflictError(
                            f"{dataset.key}: something else was published meanwhile. Nothing was changed.",
                            hint="Import the file again.",
                        )
                    self._make_visible(parent, content_hash)
                return PublishResult(dataset, created=True)
            except IntegrityError:
                # Somebody else published the same content first: theirs stands, ours goes.
                known = find_content(key=dataset.key, content_hash=content_hash)
                if known is None:
                    raise
        discard(dataset)
        return PublishResult(known, created=False)

    def _touch(self) -> None:
        rows = Dataset.objects.filter(pk=self.dataset.pk, status=Dataset.Status.BUILDING)
        if not rows.update(touched_at=timezone.now()):
            raise ConflictError(f"{self.dataset.key}: the build was taken for abandoned and swept away.")

    def _make_visible(self, parent: Dataset | None, content_hash: str) -> None:
        dataset = self.dataset
        dataset.parent = parent
        dataset.content_hash = content_hash
        dataset.trace_count = self.trace_count
        dataset.train_count = self.train_count
        dataset.test_count = self.trace_count - self.train_count
        dataset.status = Dataset.Status.PUBLISHED
        dataset.published_at = timezone.now()
        dataset.save()


def _wait_for_turn(key: str) -> None:
    """Let one publish under a key at a time; SQLite has one writer anyway."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [f"publish {key}"])


def find_content(*, key: str, content_hash: str) -> Dataset | None:
    """Find the published dataset of a key that has exactly this content."""
    published = Dataset.objects.filter(status=Dataset.Status.PUBLISHED)
    return published.filter(key=key, content_hash=content_hash).first()


def newest_of_key(key: str) -> Dataset | None:
    """Find what a bare key addresses: the content published last."""
    published = Dataset.objects.filter(status=Dataset.Status.PUBLISHED, key=key)
    return published.order_by("-published_at", "-pk").first()


def discard(dataset: Dataset) -> None:
    """Remove an unpublished dataset with its memberships, in short transactions.

    The traces that nothing else uses go too.
    """
    building = Dataset.objects.filter(pk=dataset.pk, status=Dataset.Status.BUILDING)
    places = DatasetTrace.objects.filter(dataset_id=dataset.pk).order_by("position")
    while some := list(places.values_list("pk", "trace_id")[:REMOVED_AT_ONCE]):
        with transaction.atomic():
            if not building.update(touched_at=timezone.now()):
                return
            DatasetTrace.objects.filter(pk__in=[row for row, _ in some]).delete()
        # Another writer may just be taking one up: then the database refuses, and it stays.
        with suppress(IntegrityError), transaction.atomic():
            bulk.delete_unused(sorted({trace for _, trace in some}))
    building.delete()


def sweep_abandoned() -> int:
    """Remove what builds left behind that were killed; gives their number."""
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
    bulk.insert_traces(list(unique.values()))
    return bulk.trace_ids(hashes)


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
