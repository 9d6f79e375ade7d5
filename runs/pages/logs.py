"""The tab of the log: followed as it grows, searched as a whole, and read at any line or byte."""

from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from runs.logs import read_log
from runs.models import Attempt, Run
from runs.pages.log_search import MOST_HITS, read_around, read_end, search_log
from runs.run_page import found_run, frame
from tunix_site.auth import scope_required
from tunix_site.errors import InvalidInputError

ATTEMPTS_OFFERED: Final = 200
LONGEST_NUMBER: Final = 16


@require_GET
@scope_required("read")
def logs(request: HttpRequest, run_id: int) -> HttpResponse:
    """Show the log of an attempt: live, what a search finds in it, or the lines around one place."""
    run = found_run(run_id)
    offered = list(run.attempts.order_by("-number").only("number", "run_id")[:ATTEMPTS_OFFERED])
    chosen = _chosen(request, run, offered)
    context = {
        **frame(run, user=request.user, tab="logs"),
        "attempts": offered,
        "chosen": chosen,
        "q": request.GET.get("q", ""),
        "most": MOST_HITS,
        **_reading(request, run, chosen),
    }
    return render(request, "runs/tab_logs.html", context)


def _chosen(request: HttpRequest, run: Run, offered: list[Attempt]) -> int:
    """Read which attempt is meant: any that there was, else the newest."""
    wanted = _number(request, "attempt")
    if wanted is not None and 0 < wanted <= run.attempt:
        return wanted
    return offered[0].number if offered else run.attempt


def _reading(request: HttpRequest, run: Run, attempt: int) -> dict[str, Any]:
    """Find what the address asks for besides the live log; nothing where it asks for nothing."""
    folder = run.attempt_directory(attempt)
    line, byte = _number(request, "line"), _number(request, "byte")
    facts: dict[str, Any] = {}
    if request.GET.get("q"):
        try:
            facts["found"] = search_log(folder, query=request.GET["q"], after=_number(request, "after") or 0)
        except InvalidInputError as error:
            facts["refused"] = str(error)
    elif line is not None or byte is not None:
        facts["excerpt"] = read_around(folder, line=line, byte=byte)
    elif request.GET.get("end") == "1":
        facts["excerpt"] = read_end(folder)
    if facts:
        piece = read_log(run=run, attempt=attempt, offset=None, max_bytes=1)
        facts |= {"first_offset": piece.first_offset, "size": piece.size}
    return facts


def _number(request: HttpRequest, name: str) -> int | None:
    text = request.GET.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= LONGEST_NUMBER else None
