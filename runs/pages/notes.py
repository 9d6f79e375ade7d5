"""The tab of notes: what people write about a run, in Markdown."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from runs.pages.markdown import to_html
from runs.pages.notes_store import LONGEST, NotesChangedError, save_notes, version_of
from runs.run_page import found_run, frame
from tunix_site.auth import scope_required
from tunix_site.errors import UserError


@require_http_methods(["GET", "HEAD"])
@scope_required("read")
def notes(request: HttpRequest, run_id: int) -> HttpResponse:
    """Show the notes of a run, or the form to write them where one may."""
    run = found_run(run_id)
    context = frame(run, user=request.user, tab="notes")
    editing = context["may_operate"] and (request.GET.get("edit") == "1" or not run.notes)
    context |= {
        "html": to_html(run.notes),
        "editing": editing,
        "draft": run.notes,
        "version": version_of(run.notes),
        "longest": LONGEST,
    }
    return render(request, "runs/tab_notes.html", context)


@require_http_methods(["POST"])
@scope_required("operate")
def write_notes(request: HttpRequest, run_id: int) -> HttpResponse:
    """Save the notes; a writer who was overtaken keeps the own text and sees the other one beside it."""
    run = found_run(run_id)
    draft, version = request.POST.get("notes", ""), request.POST.get("version", "")
    context: dict[str, Any] = {"editing": True, "draft": draft, "longest": LONGEST, "version": version}
    try:
        saved = save_notes(run, text=draft, version=version, actor=request.user)
    except NotesChangedError as error:
        context |= {"refused": str(error), "present": error.present, "version": error.version}
    except UserError as error:
        context["refused"] = str(error)
    else:
        messages.success(request, "The notes are saved." if saved.changed else "Nothing changed.")
        return redirect("runs:notes", run_id=run.pk)
    shown = {**frame(run, user=request.user, tab="notes"), **context}
    return render(request, "runs/tab_notes.html", shown, status=409 if "present" in context else 422)
