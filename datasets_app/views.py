"""The pages about datasets, to read."""

from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from datasets_app import member_pages, selectors
from datasets_app.formats import WRITERS
from datasets_app.generators import FAMILIES, GENERATORS
from datasets_app.models import Dataset
from datasets_app.quality.reports import latest_report
from datasets_app.reading import read_trace
from datasets_app.traces import SPLITS
from tunix_site.errors import UserError

PER_PAGE = 20
LISTED = 200
OTHERS_SHOWN = 20


@require_safe
def dataset_list(request: HttpRequest) -> HttpResponse:
    """Show all datasets, the newest content of each key first."""
    datasets = list(selectors.list_datasets()[: LISTED + 1])
    newest: set[str] = set()
    rows: list[tuple[Dataset, bool]] = []
    for dataset in datasets[:LISTED]:
        rows.append((dataset, dataset.key not in newest))
        newest.add(dataset.key)
    context = {
        "rows": rows,
        "more": len(datasets) > LISTED,
        "listed": LISTED,
        "unseeded": [spec for key, spec in GENERATORS.items() if key not in newest],
    }
    return render(request, "datasets_app/list.html", context)


@require_safe
def dataset_detail(request: HttpRequest, address: str) -> HttpResponse:
    """Show the card of one dataset, and its traces to read."""
    try:
        dataset = selectors.resolve_dataset(address=address)
    except UserError as error:
        raise Http404(str(error)) from error
    families = selectors.family_counts(dataset=dataset)
    split = request.GET.get("split", "")
    split = split if split in SPLITS else ""
    family = request.GET.get("family")
    family = family if family in families else None
    total = member_pages.count_members(dataset=dataset, split=split or None, family=family)
    pages = max(1, -(-total // PER_PAGE))
    page = min(_whole(request.GET.get("page"), default=1), pages)
    found = member_pages.member_page(
        dataset=dataset,
        split=split or None,
        family=family,
        offset=(page - 1) * PER_PAGE,
        limit=PER_PAGE,
        total=total,
    )
    chosen = {"split": split} if split else {}
    chosen |= {"family": family} if family is not None else {}
    others = selectors.list_datasets().filter(key=dataset.key).exclude(pk=dataset.pk)
    context = {
        "dataset": dataset,
        "address": address,
        "others": others[:OTHERS_SHOWN],
        "recipe": _flat(dataset.recipe),
        "families": [(name, count, FAMILIES.get(name)) for name, count in families.items()],
        "provenance": selectors.provenance_counts(dataset=dataset),
        "splits": SPLITS,
        "split": split,
        "family": family,
        "traces": [read_trace(member) for member in found],
        "total": total,
        "page": page,
        "pages": pages,
        "previous": _query(chosen, page - 1) if page > 1 else "",
        "next": _query(chosen, page + 1) if page < pages else "",
        "formats": list(WRITERS),
        "quality": latest_report(dataset=dataset),
    }
    return render(request, "datasets_app/detail.html", context)


def _query(chosen: dict[str, str], page: int) -> str:
    return "?" + urlencode({**chosen, "page": page})


def _whole(text: str | None, *, default: int) -> int:
    """Read a page number from an address; anything else is the default."""
    fits = text is not None and text.isascii() and text.isdecimal() and len(text) <= 9
    return max(1, int(text)) if fits and text else default


def _flat(recipe: dict[str, object]) -> list[tuple[str, object]]:
    """Lay a recipe out as lines of name and value; what is nested becomes one line an entry."""
    lines: list[tuple[str, object]] = []
    for name, value in recipe.items():
        shown = str(name).replace("_", " ")
        if not isinstance(value, dict):
            lines.append((shown, value))
            continue
        for inner, setting in value.items():
            facts = setting.items() if isinstance(setting, dict) else None
            text = ", ".join(f"{key} {one}" for key, one in facts) if facts else setting
            lines.append((f"{shown}: {inner}", text))
    return lines
