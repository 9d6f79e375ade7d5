"""The tab of provenance: all that was recorded around a run, and what differs from another one."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from runs.differences import differences
from runs.models import Run
from runs.presenting import provenance_rows
from runs.run_page import found_run, frame
from tunix_site.auth import scope_required

LONGEST_NUMBER = 18


@require_GET
@scope_required("read")
def provenance(request: HttpRequest, run_id: int) -> HttpResponse:
    """Show the record of what surrounded a run, beside another run's where one is named."""
    run = found_run(run_id)
    asked = request.GET.get("with", "").strip()
    other = _other(asked)
    context = {
        **frame(run, user=request.user, tab="provenance"),
        "rows": provenance_rows(run),
        "asked": asked[:LONGEST_NUMBER],
        "other": other,
        "differences": differences(other.provenance, run.provenance) if other else [],
        "diff_lines": diff_lines(str(run.provenance.get("git_diff") or "")),
    }
    return render(request, "runs/tab_provenance.html", context)


def diff_lines(text: str) -> list[tuple[str, str]]:
    """Give each line of a diff with what it is: added, removed, place, or empty for the rest."""
    return [(_sort_of(line), line) for line in text.splitlines()]


def _sort_of(line: str) -> str:
    if line.startswith(("+++", "---", "diff ", "index ")):
        return "file"
    if line.startswith("@@"):
        return "place"
    return {"+": "added", "-": "removed"}.get(line[:1], "")


def _other(asked: str) -> Run | None:
    if not asked.isdecimal() or not asked.isascii() or len(asked) > LONGEST_NUMBER:
        return None
    return Run.objects.filter(pk=int(asked)).first()
