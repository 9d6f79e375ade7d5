"""What is done to many runs of a list at once: those chosen, or all that fit its search."""

from typing import Any, Final

from django.contrib import messages
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST

from runs.listing.address import ordering
from runs.listing.saved import list_url
from runs.listing.search import search_runs
from runs.models import Run
from runs.verbs import Verb, perform
from runs.views_verbs import Asked, read_verb
from tunix_site.auth import scope_required
from tunix_site.errors import InvalidInputError, UserError

MOST_COMPARED: Final = 20
# Beyond this many, results are told in sum: nobody reads a hundred lines.
MOST_TOLD: Final = 10
LONGEST_NUMBER: Final = 18


@require_POST
@scope_required("read")
def compare_chosen(request: HttpRequest) -> HttpResponse:
    """Lead to the comparison of the chosen runs."""
    numbers = _chosen(request)[:MOST_COMPARED]
    return HttpResponseRedirect(f"{reverse('runs:compare')}?ids={','.join(map(str, numbers))}")


@require_POST
@scope_required("operate")
def act_on_many(request: HttpRequest) -> HttpResponse:
    """Do something to each of the chosen runs, or to all that fit, and say what came of it."""
    back = HttpResponseRedirect(list_url(request.POST.get("query", "")))
    try:
        asked = read_verb(request)
        if not asked.verb.for_many:
            raise BadRequest(f"{asked.verb.label} is not for many runs at once.")
        runs, missing = _wanted(request, asked.verb)
    except BadRequest as error:
        # What a person wrote is told where it was written; a form that is none of ours is refused.
        if not isinstance(error.__cause__, InvalidInputError):
            raise
        messages.error(request, str(error))
        return back
    for number in missing:
        messages.error(request, f"There is no run {number}.")
    if not runs and not missing:
        messages.warning(request, "Choose the runs first.")
    elif runs and asked.verb.is_dangerous and request.POST.get("confirmed") != "1":
        return _ask(request, asked, runs)
    _tell(request, asked, runs)
    return back


def _chosen(request: HttpRequest) -> list[int]:
    texts = dict.fromkeys(request.POST.getlist("run"))
    return [
        int(text) for text in texts if text.isascii() and text.isdecimal() and len(text) <= LONGEST_NUMBER
    ]


def _wanted(request: HttpRequest, verb: Verb) -> tuple[list[Run], list[int]]:
    """Find the runs that a form is about, and the numbers among the chosen ones that are no run.

    Raises:
        BadRequest: for a search that means nothing, or more runs than one go takes.
    """
    if request.POST.get("all") == "1":
        try:
            return _all_that_fit(request, verb), []
        except InvalidInputError as error:
            raise BadRequest(str(error)) from error
    numbers = _chosen(request)
    if len(numbers) > verb.most:
        raise BadRequest(f"{len(numbers)} runs are too many for one go; at most {verb.most}.")
    there = Run.objects.in_bulk(numbers)
    return [there[number] for number in sorted(there)], [number for number in numbers if number not in there]


def _all_that_fit(request: HttpRequest, verb: Verb) -> list[Run]:
    found = search_runs(request.POST.get("q", ""), user=request.user).order_by(*ordering("run"))
    runs = list(found[: verb.most + 1])
    if len(runs) > verb.most:
        raise InvalidInputError(
            f"{found.count()} runs fit; {verb.word} takes {verb.most} at most.", hint="Narrow the search."
        )
    return runs


def _tell(request: HttpRequest, asked: Asked, runs: list[Run]) -> None:
    """Do it to each run, and say of each what came of it, or of very many how it went in sum."""
    done: list[str] = []
    refused: list[str] = []
    for run in runs:
        try:
            done.append(perform(asked.verb, run, actor=request.user, **asked.arguments).text)
        except UserError as error:
            refused.append(str(error))
    if len(runs) <= MOST_TOLD:
        for text in done:
            messages.success(request, text)
    elif done:
        messages.success(request, f"{asked.verb.label}: done to {len(done)} runs.")
    for text in refused[:MOST_TOLD]:
        messages.error(request, text)
    if len(refused) > MOST_TOLD:
        messages.error(request, f"{len(refused) - MOST_TOLD} more were refused.")


def _ask(request: HttpRequest, asked: Asked, runs: list[Run]) -> HttpResponse:
    """Ask whether it is really meant, naming what would be lost."""
    context: dict[str, Any] = {
        "verb": asked.verb,
        "runs": runs,
        "arguments": asked.arguments,
        "back": "list",
        "query": request.POST.get("query", ""),
        "leave": list_url(request.POST.get("query", "")),
    }
    return render(request, "runs/confirm.html", context)
