"""Pages of the traces of a dataset, filtered by side and family, however far they are."""

from django.db.models import QuerySet

from datasets_app.models import Dataset, DatasetTrace
from datasets_app.planner import unindexed
from datasets_app.selectors import MemberTrace, family_counts, members, members_at


def _narrowed(
    *, dataset: Dataset, split: str | None = None, family: str | None = None
) -> QuerySet[DatasetTrace]:
    """Give the memberships of a dataset in order, of one split or family where asked.

    With both, the index of the side that has fewer traces is walked: SQLite keeps no statistics to
    know it by, and of a rare family it would read the whole split.
    """
    if split and family is not None:
        in_split = dataset.train_count if split == "train" else dataset.test_count
        is_rare = family_counts(dataset=dataset).get(family, 0) < in_split
        rows = members(dataset=dataset)
        if is_rare:
            return rows.alias(side=unindexed("split")).filter(family=family, side=split)
        return rows.alias(kind=unindexed("family")).filter(split=split, kind=family)
    return members(dataset=dataset, split=split, family=family)


def member_page(
    *,
    dataset: Dataset,
    split: str | None = None,
    family: str | None = None,
    offset: int = 0,
    limit: int = 20,
    total: int,
) -> list[MemberTrace]:
    """Read one page of the traces of a dataset; ``total`` is how many `count_members` gives.

    Without a filter the page starts at a position, which the index finds at once however far it is.
    With one, the rows before the page (after it, where they are fewer) are skipped within an index,
    and no text of theirs is read.
    """
    end = min(offset + limit, total)
    if end <= offset:
        return []
    if not split and family is None:
        return list(members_at(dataset=dataset, positions=range(offset, end)))
    rows = _narrowed(dataset=dataset, split=split, family=family).values_list("position", flat=True)
    from_end = total - end < offset
    chosen = rows.order_by("-position")[total - end : total - offset] if from_end else rows[offset:end]
    return list(members_at(dataset=dataset, positions=list(chosen)))


def next_positions(
    *,
    dataset: Dataset,
    split: str | None = None,
    family: str | None = None,
    after: int | None = None,
    before: int | None = None,
    limit: int = 20,
) -> list[int]:
    """Give the positions that follow ``after`` (or lead up to ``before``) within the filters, in order."""
    rows = _narrowed(dataset=dataset, split=split, family=family)
    if before is not None:
        rows = rows.filter(position__lt=before).order_by("-position")
    elif after is not None:
        rows = rows.filter(position__gt=after)
    return sorted(rows.values_list("position", flat=True)[:limit])


def count_members(*, dataset: Dataset, split: str | None = None, family: str | None = None) -> int:
    """Count the traces of a dataset that a page's filters leave.

    Of a family on one side only the smaller side is counted: the rest of the family is on the other.
    """
    if family is not None and not split:
        return family_counts(dataset=dataset).get(family, 0)
    if family is None:
        counts = {None: dataset.trace_count, "train": dataset.train_count, "test": dataset.test_count}
        return counts.get(split or None, 0)
    smaller = "test" if dataset.test_count <= dataset.train_count else "train"
    on_smaller = _narrowed(dataset=dataset, split=smaller, family=family).count()
    if split == smaller:
        return on_smaller
    return family_counts(dataset=dataset).get(family, 0) - on_smaller
