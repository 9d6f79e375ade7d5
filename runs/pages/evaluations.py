"""The tab of evaluations: how the model did at each of them, and how that changed."""

from dataclasses import dataclass

from django.db.models import F, QuerySet, Window
from django.db.models.functions import Lag
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from runs import selectors
from runs.base_models.before_after import before_after
from runs.charts.groups import EVALUATION_CHARTS, charts_there
from runs.evaluations.wording import decoding_in_words, grader_in_words, pass_at_in_words
from runs.models import Evaluation, Run
from runs.pages.paging import page_of
from runs.run_page import found_run, frame
from runs.states import Kind
from tunix_site.auth import scope_required


@dataclass(frozen=True, slots=True)
class Change:
    """How an evaluation's share of right answers differs from the one before it on the same data."""

    points: float

    @property
    def words(self) -> str:
        """Say it with sign and unit."""
        sign = "+" if self.points > 0 else "−" if self.points < 0 else "±"
        return f"{sign}{abs(self.points):.1f} points"

    @property
    def direction(self) -> str:
        """Say it in one word."""
        return "better" if self.points > 0 else "worse" if self.points < 0 else "the same"


@require_GET
@scope_required("read")
def evaluations(request: HttpRequest, run_id: int) -> HttpResponse:
    """Show a run's evaluations, the newest first; those that a resume overtook only where asked."""
    run = found_run(run_id)
    with_overtaken = request.GET.get("overtaken") == "1"
    page = page_of(request, _rows(run, superseded=with_overtaken))
    context = {
        **frame(run, user=request.user, tab="evaluations"),
        "compared": before_after(run),
        "page": page,
        "rows": [(row, _change(row), _words(row)) for row in page.object_list],
        "with_overtaken": with_overtaken,
        "overtaken": selectors.overtaken_evaluations(run=run),
        "headline": run.best_evaluation_id,
        "charts": charts_there(run, EVALUATION_CHARTS) if page.paginator.count > 1 else [],
    }
    return render(request, "runs/tab_evaluations.html", context)


def _rows(run: Run, *, superseded: bool) -> QuerySet[Evaluation]:
    """List the evaluations of a run's model; of a run that only grades, those that it made."""
    rows = Evaluation.objects.select_related("dataset")
    rows = rows.filter(run=run) if run.kind == Kind.TRAIN else rows.filter(made_by=run)
    if not superseded:
        rows = rows.filter(superseded=False)
    before = Window(
        Lag("answer_accuracy"),
        partition_by=[F("dataset"), F("split"), F("n"), F("grader"), F("grader_version")],
        order_by=["step", "id"],
    )
    return rows.annotate(before=before).order_by("-step", "-id")


def _words(row: Evaluation) -> dict[str, str]:
    """Say of an evaluation how it was drawn and graded, where that is not as always."""
    return {
        "grader": grader_in_words(row),
        "decoding": "" if not row.decoding.get("temperature") else decoding_in_words(row.decoding),
        "pass_at": pass_at_in_words(row),
    }


def _change(row: Evaluation) -> Change | None:
    before: float | None = getattr(row, "before", None)
    return None if before is None else Change(round(100 * (row.answer_accuracy - before), 1))
