"""One page of the list of runs, with few queries however many runs there are."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from django.core.paginator import Page, Paginator
from django.db.models import Count, Exists, IntegerField, OuterRef, QuerySet, StringAgg, Subquery, Value
from django.utils.safestring import SafeString

from runs.listing import cells
from runs.listing.address import Address, ordering
from runs.listing.columns import Column, column_named, grouping_named
from runs.models import Run, Tag
from runs.selectors import live_workers
from runs.states import Status
from runs.waiting import Scene, waiting_reasons

RUNS_A_PAGE: Final = 50
# Long texts that no column shows.
HEAVY: Final = ("provenance", "result", "params", "notes", "error", "origin", "dataset__recipe")


class _CountOf(Subquery):
    """How many rows a query has, as a value beside each row of another."""

    template = "(SELECT COUNT(*) FROM (%(subquery)s) counted)"
    output_field = IntegerField()


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of the table, and the column that it stands in."""

    column: Column
    html: SafeString


@dataclass(frozen=True, slots=True)
class Row:
    """A run of the page; ``group``: the title of the group that begins with it."""

    run: Run
    cells: list[Cell]
    group: str | None = None
    group_count: int | None = None


@dataclass(frozen=True, slots=True)
class ListPage:
    """A page of runs: rows, place among the pages, and the newest run that there is.

    ``unserved``: runs are queued, here or elsewhere, and no worker lives.
    """

    rows: list[Row]
    page: "Page[Run]"
    columns: list[Column]
    newest: int
    count: int = field(default=0)
    unserved: bool = False


def with_short_facts(runs: QuerySet[Run]) -> QuerySet[Run]:
    """Load what lists show of runs, their tags among it, and none of the long texts."""
    tags = Tag.objects.filter(runs=OuterRef("pk")).order_by().values("runs")
    names = tags.annotate(names=StringAgg("name", delimiter=Value(" "))).values("names")
    rows = runs.select_related("dataset", "owner", "best_evaluation").defer(*HEAVY)
    return rows.annotate(tag_text=Subquery(names))


def read_page(matching: QuerySet[Run], address: Address) -> ListPage:
    """Read the page that the address asks for, or the last one there is."""
    number = address.page
    runs, facts = _slice(matching, address, number)
    if not runs and number > 1:
        number = max(1, -(-matching.count() // RUNS_A_PAGE))
        runs, facts = _slice(matching, address, number)
    # Who works is asked for only where something waits.
    live = list(live_workers()) if facts.queued else []
    columns = [column for name in address.columns if (column := column_named(name))]
    waiting = waiting_reasons(runs, scene=Scene(live))
    paginator = Paginator(range(facts.total), RUNS_A_PAGE)
    return ListPage(
        rows=_rows(runs, columns, waiting, address, matching),
        page=Page(runs, number, paginator),  # type: ignore[arg-type]
        columns=columns,
        newest=facts.newest,
        count=facts.total,
        unserved=facts.queued and not live,
    )


@dataclass(frozen=True, slots=True)
class _Facts:
    """How many runs fit, the newest number there is, and whether any run at all is queued."""

    total: int
    newest: int
    queued: bool


def _slice(matching: QuerySet[Run], address: Address, number: int) -> tuple[list[Run], _Facts]:
    """Read one page, and what else the list tells: one query, and one more where no run fits."""
    order = ordering(address.sort, group=address.group)
    start = (number - 1) * RUNS_A_PAGE
    # First which runs, from an index where there is one; then what is shown of these few.
    chosen = matching.order_by(*order).values("pk")[start : start + RUNS_A_PAGE]
    queued = Run.objects.filter(status=Status.QUEUED)
    rows = with_short_facts(Run.objects.filter(pk__in=chosen)).annotate(
        total=_CountOf(matching.order_by().values("pk")),
        newest=Subquery(Run.objects.order_by("-pk").values("pk")[:1]),
        any_queued=Exists(queued),
    )
    found: list[Any] = list(rows.order_by(*order))
    if not found:
        return [], _Facts(0, 0, queued.exists())
    return found, _Facts(found[0].total, found[0].newest, found[0].any_queued)


def _rows(
    runs: Sequence[Run],
    columns: list[Column],
    waiting: dict[int, str],
    address: Address,
    matching: QuerySet[Run],
) -> list[Row]:
    grouping = grouping_named(address.group) if address.group else None
    counts = _group_counts(matching, address.group) if grouping else {}
    rows: list[Row] = []
    before: str | None = None
    for run in runs:
        shown = [Cell(column, _cell(column, run, waiting)) for column in columns]
        title = grouping.title(run) if grouping else None
        begins = title if title != before else None
        rows.append(Row(run, shown, begins, counts.get(title or "") if begins else None))
        before = title
    return rows


def _cell(column: Column, run: Run, waiting: dict[int, str]) -> SafeString:
    if column.name == "status":
        return cells.status_cell(run, waiting.get(run.pk, ""))
    return column.cell(run)


def _group_counts(matching: QuerySet[Run], group: str) -> dict[str, int]:
    """Count the runs of each group by its title."""
    grouping = grouping_named(group)
    if grouping is None:
        return {}
    counts: dict[str, int] = {}
    found = matching.order_by().annotate(first=grouping.sort)
    for value, count in found.values_list("first").annotate(count=Count("pk")):
        title = grouping.titled(value)
        counts[title] = counts.get(title, 0) + count
    return counts
