"""The tab of checkpoints: what is kept, what it cost, and what became of the others."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Q, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from runs import selectors
from runs.models import Alias, Checkpoint, MetricPoint, Run
from runs.pages.paging import page_of
from runs.promotion.shown import ShownAliases, shown_aliases
from runs.run_page import found_run, frame
from tunix_site.auth import scope_required
from tunix_site.roles import covers, user_scope

STALL, WRITE = "system/checkpoint_stall", "system/checkpoint_time"


@dataclass(frozen=True, slots=True)
class CheckpointRow:
    """A checkpoint with what it cost; ``stall`` and ``write`` are seconds, None where none was recorded."""

    checkpoint: Checkpoint
    stall: float | None
    write: float | None
    aliases: Sequence[Alias] = ()

    @property
    def on_disk(self) -> bool:
        """Whether its folder is there; one that is known to be removed is not looked for."""
        return self.checkpoint.removed_at is None and self.checkpoint.on_disk


@require_GET
@scope_required("read")
def checkpoints(request: HttpRequest, run_id: int) -> HttpResponse:
    """Show a run's checkpoints, newest first; those that are gone or overtaken only where asked."""
    run = found_run(run_id)
    with_gone = request.GET.get("gone") == "1"
    rows = selectors.all_checkpoints(run=run) if with_gone else selectors.live_checkpoints(run=run)
    page = page_of(request, rows)
    checkpoints_here = list(page.object_list)
    aliases: ShownAliases = shown_aliases(run, checkpoints_here)
    context = {
        **frame(run, user=request.user, tab="checkpoints"),
        "page": page,
        "rows": with_cost(run, checkpoints_here, aliases),
        "aliases": aliases,
        "may_override": covers(user_scope(request.user), "admin"),
        "with_gone": with_gone,
        "totals": totals(run),
    }
    return render(request, "runs/tab_checkpoints.html", context)


def totals(run: Run) -> dict[str, Any]:
    """Count a run's checkpoints: kept ones with their bytes, pinned ones, and those that are gone."""
    live = Q(superseded=False, removed_at=None)
    return selectors.all_checkpoints(run=run).aggregate(
        kept=Count("pk", filter=live),
        kept_bytes=Sum("size_bytes", filter=live),
        pinned=Count("pk", filter=live & Q(pinned=True)),
        gone=Count("pk", filter=~live),
    )


def with_cost(
    run: Run, rows: Sequence[Checkpoint], aliases: ShownAliases | None = None
) -> list[CheckpointRow]:
    """Give each checkpoint the seconds that it held up the training and that its writing took."""
    steps = [row.step for row in rows]
    points = MetricPoint.objects.filter(run=run, name__in=[STALL, WRITE], step__in=steps)
    cost = {
        (name, step, attempt): value
        for name, step, attempt, value in points.values_list("name", "step", "attempt", "value")
    }
    named = aliases.by_checkpoint if aliases else {}
    return [
        CheckpointRow(
            row,
            cost.get((STALL, row.step, row.attempt)),
            cost.get((WRITE, row.step, row.attempt)),
            named.get(row.pk, ()),
        )
        for row in rows
    ]
