"""The state of the list of runs, as its address has it: search, columns, order, groups, page."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import urlencode

from django.db.models import F
from django.db.models.expressions import OrderBy
from django.http import QueryDict

from runs.listing.columns import DEFAULT_COLUMNS, column_named, grouping_named
from runs.listing.syntax import SearchError
from runs.states import Kind, Status

MOST_COLUMNS: Final = 40
MOST_KEYS: Final = 5
LONGEST_PAGE: Final = 7
# What an address keeps besides the page; a saved view holds these.
KEPT: Final = ("q", "columns", "sort", "group")


@dataclass(frozen=True, slots=True)
class Address:
    """What an address asks the list for; ``problems`` says which parts of it mean nothing."""

    q: str = ""
    columns: tuple[str, ...] = DEFAULT_COLUMNS
    sort: str = ""
    group: str = ""
    page: int = 1
    view: int | None = None
    problems: tuple[str, ...] = field(default=(), compare=False)

    def url(self, *, saved: bool = False, **changes: object) -> str:
        """Give the query string of this address with changes; ``saved``: without page and view."""
        other = replace(self, **{"page": 1, **changes}) if changes else self  # type: ignore[arg-type]
        facts: dict[str, str] = {"q": other.q}
        if other.columns != DEFAULT_COLUMNS:
            facts["columns"] = ",".join(other.columns)
        facts |= {"sort": other.sort, "group": other.group}
        if not saved:
            facts["view"] = str(other.view or "")
            facts["page"] = str(other.page) if other.page > 1 else ""
        kept = {name: value for name, value in facts.items() if value}
        # An empty search, not an empty address: that shows what somebody made their first view.
        return f"?{urlencode(kept or {'q': ''}, safe=':,<>')}"


def read_address(query: QueryDict) -> Address:
    """Read an address; what is no column, order or group is named and left out."""
    problems: list[str] = []
    return Address(
        q=_search(query),
        columns=_columns(query.getlist("columns"), problems),
        sort=_checked(query.get("sort", ""), problems),
        group=_group(query.get("group", ""), problems),
        page=_number(query.get("page", "")) or 1,
        view=_number(query.get("view", ""), longest=18),
        problems=tuple(problems),
    )


def _search(query: QueryDict) -> str:
    """Give the search; ``status=`` and ``kind=`` of older addresses are part of it."""
    words = [query.get("q", "").replace("\x00", "").strip()]
    for name, known in (("status", Status.values), ("kind", Kind.values)):
        if query.get(name) in known:
            words.append(f"{name}:{query[name]}")
    return " ".join(word for word in words if word)


def _number(text: str, longest: int = LONGEST_PAGE) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= longest else None


def _columns(texts: Iterable[str], problems: list[str]) -> tuple[str, ...]:
    names = [name.strip() for text in texts for name in text.split(",") if name.strip()]
    found: list[str] = []
    for name in names:
        column = column_named(name)
        if column is None:
            problems.append(f"There is no column {name[:60]!r}.")
        elif column.name not in found:
            found.append(column.name)
    if not found:
        return DEFAULT_COLUMNS
    # The number is what everything else hangs on.
    first = [] if "run" in found else ["run"]
    return tuple([*first, *found][:MOST_COLUMNS])


def _checked(text: str, problems: list[str]) -> str:
    try:
        ordering(text)
    except SearchError as error:
        problems.append(str(error))
        return ""
    return text


def _group(text: str, problems: list[str]) -> str:
    if text and grouping_named(text) is None:
        problems.append(f"Nothing is grouped by {text[:60]!r}.")
        return ""
    return text


def ordering(text: str, *, group: str = "") -> list[OrderBy]:
    """Read an order: columns between commas, a minus for the largest first; the newest run goes first last.

    Runs without a value come behind those that have one.

    Raises:
        SearchError: for what is no column, or cannot be sorted by.
    """
    keys: list[OrderBy] = []
    if group and (grouping := grouping_named(group)):
        keys.append(OrderBy(grouping.sort, nulls_last=True))
    for word in [word.strip() for word in text.split(",") if word.strip()][:MOST_KEYS]:
        falling = word.startswith("-")
        column = column_named(word.removeprefix("-"))
        if column is None or column.sort is None:
            raise SearchError(
                f"Runs cannot be sorted by {word[:60]!r}.",
                word=word,
                hint="Write the name of a column, for example sort=-started.",
            )
        if column.name == "run":
            return [*keys, F("pk").desc() if falling else F("pk").asc()]
        keys.append(OrderBy(column.sort, descending=falling, nulls_last=True))
    return [*keys, F("pk").desc()]
