"""The pages of the leaderboard: all boards, and those of one dataset."""

from dataclasses import dataclass
from typing import Any, Final

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from datasets_app.models import Dataset
from datasets_app.selectors import resolve_dataset
from runs.leaderboard.asking import Asked
from runs.leaderboard.boards import Board, boards_of, contents_graded
from runs.leaderboard.entries import WIDTH, Standing, standing
from runs.models import Alias, AliasMove, AliasRule
from runs.pages.paging import page_of
from tunix_site.auth import scope_required
from tunix_site.errors import UserError

ENTRIES_AT_FIRST: Final = 10
ENTRIES_A_PAGE: Final = 50
BOARDS_SHOWN: Final = 12
DATASETS_SHOWN: Final = 100
MOVES_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Shown:
    """A board on the page with the addresses that lead on from it."""

    standing: Standing
    alone: str
    toggle_every: str
    toggle_overlap: str
    before: str
    next: str
    first: int
    last: int


@require_GET
@scope_required("read")
def board_list(request: HttpRequest) -> HttpResponse:
    """List every dataset that evaluations were made on, with its boards."""
    by_dataset: dict[int, tuple[Dataset, list[Board]]] = {}
    for board in boards_of():
        by_dataset.setdefault(board.dataset.pk, (board.dataset, []))[1].append(board)
    rows = list(by_dataset.values())
    context = {"rows": rows[:DATASETS_SHOWN], "left_out": max(0, len(rows) - DATASETS_SHOWN)}
    return render(request, "runs/leaderboard/list.html", context)


@require_GET
@scope_required("read")
def leaderboard(request: HttpRequest, address: str) -> HttpResponse:
    """Show the boards of one dataset content, each with its first entries, or one board page by page."""
    asked = Asked.read(request.GET.dict())
    content, graded = _content(address)
    boards = boards_of([content])
    chosen = [one for one in boards if _wanted(one, asked)]
    alone = len(chosen) == 1 and bool(asked.board)
    context: dict[str, Any] = {
        "dataset": content,
        "others": [one for one in graded if one.pk != content.pk],
        "asked": asked,
        "boards": [_show(one, asked, alone=alone) for one in chosen[:BOARDS_SHOWN]],
        "more_boards": chosen[BOARDS_SHOWN:],
        "all_boards": len(boards),
        "narrowed": len(chosen) < len(boards),
        "width": WIDTH,
        "alone": alone,
        "aliases": Alias.objects.filter(scope=content.key)
        .exclude(checkpoint=None)
        .select_related("checkpoint"),
        "rules": AliasRule.objects.filter(scope=content.key),
        "moves": page_of(request, AliasMove.objects.filter(scope=content.key), key="moves", size=MOVES_SHOWN),
    }
    return render(request, "runs/leaderboard/detail.html", context)


def _content(address: str) -> tuple[Dataset, list[Dataset]]:
    """Find the content that an address means: of a bare key the newest that was graded."""
    try:
        found = resolve_dataset(address=address)
    except UserError as error:
        raise Http404(str(error)) from error
    graded = contents_graded(found.key)
    return (graded[0] if graded and "@" not in address else found), graded


def _wanted(board: Board, asked: Asked) -> bool:
    if asked.board:
        return board.code == asked.board
    return (not asked.split or board.split == asked.split) and (
        not asked.grader or board.grader == asked.grader
    )


def _show(board: Board, asked: Asked, *, alone: bool) -> Shown:
    size = ENTRIES_A_PAGE if alone else ENTRIES_AT_FIRST
    page = asked.page if alone else 1
    found = standing(
        board, every=asked.every, hide_overlap=asked.hide_overlap, offset=(page - 1) * size, limit=size
    )
    first = (page - 1) * size
    return Shown(
        standing=found,
        alone=asked.link(board=board.code, page=1),
        toggle_every=asked.link(every=not asked.every, page=1),
        toggle_overlap=asked.link(hide_overlap=not asked.hide_overlap, page=1),
        before=asked.link(page=page - 1) if page > 1 else "",
        next=asked.link(page=page + 1) if alone and first + len(found.entries) < found.count else "",
        first=first + 1,
        last=first + len(found.entries),
    )
