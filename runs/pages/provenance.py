"""The tab of provenance: all that was recorded around a run, and what differs from another one."""

import json
from collections.abc import Iterator
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from runs.differences import differences
from runs.models import Run
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


def provenance_rows(run: Run) -> list[tuple[str, str]]:
    """List the provenance as flat name and text; nested facts become dotted names.

    Without what the page shows in a form of its own: the packages and the uncommitted changes.
    """
    facts = {name: value for name, value in run.provenance.items() if name not in {"installed", "git_diff"}}
    return list(_flatten("", facts)) if facts else []


def _flatten(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for name, item in value.items():
            yield from _flatten(f"{prefix}.{name}" if prefix else str(name), item)
    elif isinstance(value, list | dict):
        yield prefix, json.dumps(value, ensure_ascii=False)
    elif value not in (None, ""):
        yield prefix, str(value)


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
