"""The trace browser of a dataset, and one trace with all that is known of it."""

from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from datasets_app import member_pages, search, selectors
from datasets_app.generators import FAMILIES
from datasets_app.quality.lengths import lengths_of
from datasets_app.quality.steps import check_trace
from datasets_app.reading import read_trace
from datasets_app.traces import SPLITS
from datasets_app.views_quality import address_or_404
from tunix_site.errors import UserError

PER_PAGE = 20
DATASETS_SHOWN = 50
RUNS_SHOWN = 20


@require_safe
def browser(request: HttpRequest, address: str) -> HttpResponse:
    """Show the traces of a dataset in order: filtered, searched, a page at a time.

    A page is found by the position before or after it, so a far one costs as much as the first.
    """
    dataset = address_or_404(address)
    families = selectors.family_counts(dataset=dataset)
    split = request.GET.get("split", "")
    split = split if split in SPLITS else ""
    family = request.GET.get("family")
    family = family if family in families else None
    text = request.GET.get("q", "").strip()
    after, before = _position(request.GET.get("after")), _position(request.GET.get("before"))
    ready, problem, positions = search.is_ready(dataset=dataset), "", []
    try:
        query = search.parse_query(text)
        if query is not None and not ready:
            search.plan_again(dataset=dataset)
            ready = search.is_ready(dataset=dataset)
        limits: dict[str, Any] = {"split": split or None, "family": family, "after": after, "before": before}
        if query is None:
            positions = member_pages.next_positions(dataset=dataset, **limits, limit=PER_PAGE + 1)
        elif ready:
            positions = search.find_positions(dataset=dataset, query=query, **limits, limit=PER_PAGE + 1)
    except UserError as error:
        problem = str(error)
    more = len(positions) > PER_PAGE
    positions = (positions[-PER_PAGE:] if before is not None else positions[:PER_PAGE]) if more else positions
    shown = list(selectors.members_at(dataset=dataset, positions=positions))
    chosen = {"split": split, "q": text} | ({"family": family} if family is not None else {})
    chosen = {name: value for name, value in chosen.items() if value or name == "family"}
    goes_back = (before is None and after is not None) or (before is not None and more)
    goes_on = more if before is None else bool(positions)
    context = {
        "dataset": dataset,
        "families": [(name, count, FAMILIES.get(name)) for name, count in families.items()],
        "splits": SPLITS,
        "split": split,
        "family": family,
        "q": text,
        "problem": problem,
        "pending": bool(text) and not ready and not problem,
        "traces": [read_trace(member) for member in shown],
        "previous": _query(chosen, before=positions[0]) if goes_back and positions else "",
        "next": _query(chosen, after=positions[-1]) if goes_on and positions else "",
        "filtered": bool(chosen),
    }
    return render(request, "datasets_app/traces.html", context)


def _query(chosen: dict[str, str], **place: int) -> str:
    return "?" + urlencode({**chosen, **place})


def _position(text: str | None) -> int | None:
    fits = text is not None and text.isascii() and text.isdecimal() and len(text) <= 9
    return int(text) if fits and text else None


@require_safe
def one_trace(request: HttpRequest, address: str, position: int) -> HttpResponse:
    """Show one trace: its steps with every check, its lengths, and who uses it."""
    dataset = address_or_404(address)
    member = next(selectors.members_at(dataset=dataset, positions=[min(position, 2**31 - 1)]), None)
    if member is None:
        raise Http404(f"{dataset.address} has no trace at position {position}.")
    trace = selectors.trace_by_hash(content_hash=member.content_hash)
    checks = check_trace(member.family, member.prompt, member.steps, member.final_answer)
    notes: dict[int, list[tuple[str, str]]] = {}
    for annotation in checks.annotations:
        mark = {"right": "ok", "rounded": "ok", "wrong": "bad"}.get(annotation.verdict, "unknown")
        sentence = f"{annotation.text}: {annotation.verdict}"
        sentence += f" ({annotation.problem})" if annotation.problem else ""
        notes.setdefault(annotation.step, []).append((mark, sentence))
    for step, sentence in [*checks.shown_otherwise, *checks.unexplained]:
        notes.setdefault(step, []).append(("unknown", sentence))
    read = read_trace(member)
    holders = list(selectors.datasets_of_trace(trace=trace)[:DATASETS_SHOWN])
    places = selectors.positions_of_trace(trace=trace, datasets=holders)
    context = {
        "dataset": dataset,
        "trace": read,
        "steps": [(step, notes.get(place, [])) for place, step in enumerate(read.steps)],
        "checks": checks,
        "lengths": lengths_of(member.prompt, member.steps, member.final_answer),
        "stored": trace,
        "sources": trace.sources.all(),
        "meta": sorted(member.meta.items()),
        "holders": [(holder, places.get(holder.pk)) for holder in holders],
        "runs": selectors.runs_of_datasets(datasets=holders)[:RUNS_SHOWN],
        "previous": position - 1 if position else None,
        "next": position + 1 if position + 1 < dataset.trace_count else None,
    }
    return render(request, "datasets_app/trace.html", context)
