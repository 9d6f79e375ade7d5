"""The pages of the list of runs: the list, its exports, and the views that people keep of it."""

from collections.abc import Iterator
from typing import Any, Final

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_GET, require_POST

from runs.listing.address import Address, ordering, read_address
from runs.listing.columns import COLUMNS, CONFIG_COLUMNS, DEFAULT_COLUMNS, GROUPINGS, Column
from runs.listing.export import as_csv, as_jsonl
from runs.listing.fields import CONFIG_FIELDS, FIELDS, SHORT
from runs.listing.page import ListPage, read_page
from runs.listing.saved import (
    address_of,
    change_view,
    first_view,
    list_url,
    own_view,
    save_view,
    set_default,
    visible_views,
)
from runs.listing.search import search_runs
from runs.listing.syntax import SearchError
from runs.models import Run, SavedView
from runs.verbs import VERBS
from tunix_site.auth import scope_required
from tunix_site.errors import UserError
from tunix_site.roles import covers, user_scope

# Searches that everybody has at hand: label and search.
READY_VIEWS: Final = [
    ("All", ""),
    ("Active", "status:alive"),
    ("Completed", "status:completed"),
    ("Failed", "status:failed,lost"),
    ("Archived", "archived:yes"),
]
MOST_TABS: Final = 200
EXPORTS: Final = {"csv": (as_csv, "text/csv"), "jsonl": (as_jsonl, "application/x-ndjson")}


@require_GET
@scope_required("read")
def run_list(request: HttpRequest) -> HttpResponse:
    """List the runs that fit a search, in the columns, order and groups of the address."""
    address = read_address(request.GET)
    views = list(visible_views(request.user)[:MOST_TABS]) if isinstance(request.user, User) else []
    if not request.GET and (first := first_view(views, request.user)) is not None:
        return HttpResponseRedirect(f"{reverse('runs:list')}{address_of(first).url()}")
    found, problem = None, ""
    try:
        found = read_page(search_runs(address.q, user=request.user), address)
    except SearchError as error:
        problem = str(error)
    context = {
        **_of_page(found, address),
        **_of_choices(address),
        **_of_views(views, address, request),
        "address": address,
        "problem": problem,
        "unserved": found is not None and found.unserved,
        "verbs": _offered_verbs(request),
        "may_operate": covers(user_scope(request.user), "operate"),
        "is_empty": not address.q and not problem and found is not None and not found.rows
        and not Run.objects.exists(),
    }  # fmt: skip
    return render(request, "runs/list.html", context)


def _of_page(found: ListPage | None, address: Address) -> dict[str, Any]:
    if found is None:
        return {"rows": [], "count": 0}
    return {
        "rows": found.rows,
        "page": found.page,
        "count": found.count,
        "newest": found.newest,
        "heads": [_head(column, address) for column in found.columns],
        "width": len(found.columns) + 1,
    }


def _head(column: Column, address: Address) -> dict[str, Any]:
    """Give a heading: its label, the address that sorts by it, and how the rows are sorted by it now."""
    words = address.sort.split(",")
    first = words[0].strip() if words[0].strip() else "-run"
    rising, falling = first == column.name, first == f"-{column.name}"
    # Numbers and times are asked for largest first, words from A on.
    other = column.name if falling else f"-{column.name}" if rising else _first_order(column)
    return {
        "column": column,
        "url": address.url(sort=other) if column.sort is not None else "",
        "sorted": "ascending" if rising else "descending" if falling else "",
    }


def _first_order(column: Column) -> str:
    words = {"name", "status", "kind", "dataset", "device", "owner", "reason", "eta", "loss", "final_loss"}
    return column.name if column.name in words else f"-{column.name}"


def _of_choices(address: Address) -> dict[str, Any]:
    """Give what the forms offer: columns with their places, orders, groups, fields to search by."""
    shown = [COLUMNS.get(name) or CONFIG_COLUMNS[name] for name in address.columns]
    places = list(address.columns)
    chosen = []
    for place, column in enumerate(shown):
        moved = {}
        for word, to in (("left", place - 1), ("right", place + 1)):
            if 0 <= to < len(places):
                order = places.copy()
                order[place], order[to] = order[to], order[place]
                moved[word] = address.url(columns=tuple(order), page=address.page)
        chosen.append({"column": column, **moved})
    rest = [column for column in COLUMNS.values() if column.name not in places]
    return {
        "chosen": chosen,
        "rest": rest,
        "config_columns": [column for name, column in CONFIG_COLUMNS.items() if name not in places],
        "sortable": [column for column in COLUMNS.values() if column.sort is not None],
        "groupings": list(GROUPINGS.values()),
        "default_columns": address.columns == DEFAULT_COLUMNS,
        "other_sort": "" if address.sort.removeprefix("-") in COLUMNS else address.sort,
        "clear_url": address.url(q="", view=None),
        "newest_url": address.url(),
        "plain_url": address.url(columns=DEFAULT_COLUMNS, sort="", group=""),
        "fields": FIELDS,
        "config_fields": CONFIG_FIELDS.values(),
        "short": SHORT,
        "export_csv": f"{reverse('runs:export', kwargs={'form': 'csv'})}{address.url(view=None)}",
        "export_jsonl": f"{reverse('runs:export', kwargs={'form': 'jsonl'})}{address.url(view=None)}",
    }


def _of_views(views: list[SavedView], address: Address, request: HttpRequest) -> dict[str, Any]:
    now = address.url(saved=True)
    tabs = [
        {
            "label": label,
            "url": f"?q={query.replace(' ', '+')}",
            "here": not address.view and address.q == query,
        }
        for label, query in READY_VIEWS
    ]
    current: SavedView | None = None
    changed = False
    for view in views:
        here = view.pk == address.view
        if here:
            current, changed = view, f"?{view.query}" != now
        mine = view.owner_id == request.user.pk
        tabs.append(
            {
                "label": view.name,
                "url": address_of(view).url(),
                "here": here,
                "title": "your view" if mine else f"shared by {view.owner.get_username()}",
            }
        )
    may_change = current is not None and (
        current.owner_id == request.user.pk or (current.shared and covers(user_scope(request.user), "admin"))
    )
    return {
        "tabs": tabs,
        "current": current,
        "changed": changed,
        "may_change": may_change,
        "saved_query": now.removeprefix("?"),
    }


def _offered_verbs(request: HttpRequest) -> list[Any]:
    scope = user_scope(request.user)
    return [verb for verb in VERBS.values() if verb.for_many and covers(scope, verb.scope)]


@require_GET
@scope_required("read")
def export(request: HttpRequest, form: str) -> HttpResponse | StreamingHttpResponse:
    """Download the runs that fit a search, in the order of the address, with every column."""
    write, content_type = EXPORTS[form]
    asked = request.GET
    try:
        order = ordering(asked.get("sort", ""), group=asked.get("group", ""))
        runs = search_runs(read_address(asked).q, user=request.user).order_by(*order)
    except SearchError as error:
        return HttpResponse(f"{error}\n", status=422, content_type="text/plain; charset=utf-8")
    lines: Iterator[str] = write(runs)
    response = StreamingHttpResponse(lines, content_type=f"{content_type}; charset=utf-8")
    name = content_disposition_header(as_attachment=True, filename=f"runs.{form}")
    response.headers["Content-Disposition"] = name or "attachment"
    return response


@require_POST
@scope_required("read")
def keep_view(request: HttpRequest) -> HttpResponse:
    """Save, change or delete one of one's views."""
    user = request.user
    try:
        if not isinstance(user, User):
            raise UserError("Sign in first.")
        address = _do_with_view(request, user, request.POST.get("do", ""))
    except UserError as error:
        messages.error(request, str(error))
        return HttpResponseRedirect(list_url(request.POST.get("query", "")))
    return HttpResponseRedirect(f"{reverse('runs:list')}{address.url()}")


def _do_with_view(request: HttpRequest, user: User, action: str) -> Address:
    form = request.POST
    if action == "save":
        view = save_view(
            owner=user,
            name=form.get("name", ""),
            query=form.get("query", ""),
            shared=form.get("shared") == "1",
            default=form.get("default") == "1",
        )
        messages.success(request, f"The view {view.name} is saved.")
        return address_of(view)
    text = form.get("view", "")
    view = own_view(user, int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else 0)
    if action == "delete":
        view.delete()
        messages.success(request, f"The view {view.name} is deleted.")
        return Address()
    if action == "overwrite":
        change_view(view, query=form.get("query", ""))
    elif action == "rename":
        change_view(view, name=form.get("name", ""), shared=form.get("shared") == "1")
        if view.owner_id == user.pk and view.default != (form.get("default") == "1"):
            set_default(view, default=form.get("default") == "1")
    else:
        raise UserError(f"There is no action {action[:40]!r} for views.")
    messages.success(request, f"The view {view.name} is changed.")
    return address_of(view)
