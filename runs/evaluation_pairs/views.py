"""The page of two evaluations beside each other."""

from typing import Any, Final

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from runs.evaluation_pairs.changes import SHOWS, Pairing, Show, in_full, pair_up
from runs.evaluation_pairs.choosing import find_pair, graded_by, notes_on, read_ids, require_comparable
from runs.leaderboard.boards import decoding_words
from runs.models import Evaluation
from runs.overlap.facts import overlap_facts
from tunix_site.auth import scope_required
from tunix_site.errors import UserError

PAIRS_A_PAGE: Final = 10
LABELS: Final[dict[Show, str]] = {
    "changed": "Changed",
    "lost": "Right in a alone",
    "gained": "Right in b alone",
    "both_wrong": "Both wrong",
    "both_right": "Both right",
}


@require_GET
@scope_required("read")
def compare(request: HttpRequest) -> HttpResponse:
    """Compare two evaluations on the prompts that both hold; say why where they cannot be."""
    query = request.GET.dict()
    context: dict[str, Any] = {"ids": query.get("ids", "")[:60]}
    status = 200
    try:
        numbers = read_ids(query)
        if numbers:
            a, b = find_pair(numbers)
            context |= {"ids": f"{a.pk},{b.pk}", "sides": [_side("a", a), _side("b", b)]}
            require_comparable(a, b)
            context |= _comparison(request, a, b)
    except UserError as error:
        context["refused"], status = str(error), error.status
    return render(request, "runs/evaluation_pairs/compare.html", context, status=status)


def _side(letter: str, row: Evaluation) -> dict[str, Any]:
    return {
        "letter": letter,
        "row": row,
        "graded_by": graded_by(row),
        "decoded_by": decoding_words(row.decoding, row.draws),
        "overlap": overlap_facts(row.overlap),
    }


def _comparison(request: HttpRequest, a: Evaluation, b: Evaluation) -> dict[str, Any]:
    pairing: Pairing = pair_up(a, b)
    asked = request.GET.get("show", "")
    show: Show = asked if asked in SHOWS else "changed"
    chosen = pairing.prompts(show)
    page = Paginator(chosen, PAIRS_A_PAGE).get_page(request.GET.get("page"))
    return {
        "a": a,
        "b": b,
        "pairing": pairing,
        "notes": notes_on(a, b),
        "left_out": pairing.only_a + pairing.only_b,
        "shows": [
            (f"?ids={a.pk},{b.pk}&show={name}", label, len(pairing.prompts(name)), name == show)
            for name, label in LABELS.items()
        ],
        "page": page,
        "pairs": in_full(a, b, pairing, list(page.object_list)),
    }
