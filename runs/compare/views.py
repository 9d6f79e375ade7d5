"""Runs side by side, as a page and as a file of comma-separated values."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET

from runs.compare.asking import MAX_COMPARED, PROMPT_FILTERS, Asked
from runs.compare.curves import compared_charts, known_metrics
from runs.compare.facts import Section, sections
from runs.compare.graded import attach_evaluations
from runs.compare.grades import Grades, read_grades
from runs.compare.pairing import Paired, paired
from runs.compare.prompts import choose, count_each, list_prompts, side_by_side
from runs.evaluation_pairs.choosing import differences, notes_on
from runs.models import Run
from runs.states import Kind
from tunix_site.auth import scope_required

WITH_CURVES = frozenset({Kind.TRAIN, Kind.IMPORTED})
PROMPTS_A_PAGE = 5
FOUND_AT_MOST = 10
EXPORTED = ("summary", "dataset", "config", "provenance")


@dataclass(frozen=True, slots=True)
class PairOfRuns:
    """A run beside the baseline on the prompts that both hold.

    ``apart`` names what keeps their evaluations from being compared, and then ``counts`` is None; ``notes``
    is what should be known of them.
    """

    run: Run
    counts: Paired | None
    apart: list[str]
    notes: list[str]


@dataclass(frozen=True, slots=True)
class Compared:
    """A run of a comparison and the addresses that take it out, or make it the baseline."""

    run: Run
    remove: str
    make_baseline: str
    is_baseline: bool


@require_GET
@scope_required("read")
def compare(request: HttpRequest) -> HttpResponse:
    """Lay runs side by side: curves over each other, what differs, who is right on the same prompts."""
    asked = Asked.read(request.GET.dict())
    runs, missing = _runs(asked)
    if request.GET.get("add") and not (asked.search or missing or asked.left_out or asked.notes):
        return redirect(reverse("runs:compare") + asked.link())
    asked = replace(asked, ids=tuple(run.pk for run in runs))
    context: dict[str, Any] = {
        "asked": asked,
        "runs": runs,
        "ids": ",".join(map(str, asked.ids)),
        "missing": missing,
        "most": MAX_COMPARED,
        "found": _found(asked),
    }
    if runs:
        baseline = _baseline(asked, runs)
        if asked.baseline is not None and asked.baseline != baseline.pk:
            asked.notes.append(
                f"Run {asked.baseline} is not compared here; run {baseline.pk} is the baseline."
            )
        asked = replace(asked, baseline=baseline.pk)
        context |= _comparison(asked, runs, baseline)
    return render(request, "runs/compare.html", context)


def _runs(asked: Asked) -> tuple[list[Run], list[int]]:
    found = Run.objects.select_related("dataset", "owner", "benchmark").in_bulk(asked.ids)
    runs = [found[pk] for pk in asked.ids if pk in found]
    attach_evaluations(runs)
    return runs, [pk for pk in asked.ids if pk not in found]


def _baseline(asked: Asked, runs: Sequence[Run]) -> Run:
    return next((run for run in runs if run.pk == asked.baseline), runs[0])


def _found(asked: Asked) -> list[tuple[Run, str]]:
    """Search for runs to add, by name."""
    if not asked.search:
        return []
    rows = Run.objects.filter(name__icontains=asked.search).exclude(pk__in=asked.ids).order_by("-id")
    return [(run, asked.link(ids=(*asked.ids, run.pk))) for run in rows[:FOUND_AT_MOST]]


def _comparison(asked: Asked, runs: list[Run], baseline: Run) -> dict[str, Any]:
    made = sections(runs=runs, baseline=baseline, full=asked.full)
    grades = _grades(runs)
    return {
        "asked": asked,
        "baseline": baseline,
        "compared": [
            Compared(
                run,
                asked.link(ids=tuple(pk for pk in asked.ids if pk != run.pk), page=1),
                asked.link(baseline=run.pk),
                run.pk == baseline.pk,
            )
            for run in runs
        ],
        "sections": [(one, asked.toggled(one.name)) for one in made],
        "charts": compared_charts(asked.metrics),
        "known_metrics": known_metrics(),
        "metrics": ",".join(asked.metrics),
        "without_curves": [run for run in runs if run.kind not in WITH_CURVES],
        "pairs": _pairs(runs, baseline, grades),
        "export": reverse("runs:compare-csv") + asked.link(),
        **_prompts(asked, runs, baseline, grades),
    }


def _grades(runs: Sequence[Run]) -> dict[int, Grades]:
    """Read the verdicts on each run's prompts, by the run's number."""
    chosen = {run.pk: run.headline for run in runs if run.headline is not None}
    grades = read_grades(list(chosen.values()))
    return {pk: grades[evaluation.pk] for pk, evaluation in chosen.items()}


def _pairs(runs: Sequence[Run], baseline: Run, grades: dict[int, Grades]) -> list[PairOfRuns]:
    own = baseline.headline
    if own is None:
        return []
    found = []
    for run in runs:
        other = run.headline
        if other is None or run.pk == baseline.pk:
            continue
        apart = differences(own, other, drawing=True)
        counts = None if apart else paired(grades[baseline.pk].right, grades[run.pk].right)
        found.append(PairOfRuns(run, counts, apart, notes_on(own, other) if counts else []))
    return found


def _prompts(asked: Asked, runs: Sequence[Run], baseline: Run, grades: dict[int, Grades]) -> dict[str, Any]:
    if not grades:
        return {"graded": 0}
    number = len(grades)
    prompts = list_prompts(list(grades.values()), grades.get(baseline.pk))
    counts = count_each(prompts, runs=number)
    fitting = choose(prompts, asked.prompts, runs=number)
    page = Paginator(fitting, PROMPTS_A_PAGE).get_page(asked.page)
    links = {}
    if page.has_previous():
        links["before"] = asked.link(page=page.previous_page_number())
    if page.has_next():
        links["next"] = asked.link(page=page.next_page_number())
    return {
        "graded": number,
        "shared": sum(one.held == number for one in prompts),
        "prompt_filters": [
            (asked.link(prompts=name, page=1), label, counts[name], name == asked.prompts)
            for name, label in PROMPT_FILTERS.items()
        ],
        "prompt_page": page,
        "prompt_links": links,
        "prompts": side_by_side(runs=runs, prompts=list(page.object_list)),
    }


@require_GET
@scope_required("read")
def export(request: HttpRequest) -> HttpResponse:
    """Give every row of the comparison, with distances from the baseline, as CSV."""
    asked = Asked.read(request.GET.dict())
    runs, _ = _runs(asked)
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    name = "-".join(str(run.pk) for run in runs) or "none"
    response["Content-Disposition"] = f'attachment; filename="compare-{name}.csv"'
    write = csv.writer(response)
    if not runs:
        write.writerow(["section", "fact"])
        return response
    baseline = _baseline(asked, runs)
    others = [run for run in runs if run.pk != baseline.pk]
    write.writerow(
        [
            "section",
            "fact",
            "unit or note",
            "differs",
            *(_safe(f"run {run.pk}" + (f" {run.name}" if run.name else "")) for run in runs),
            *(f"run {run.pk} against run {baseline.pk}" for run in others),
        ]
    )
    for section in sections(runs=runs, baseline=baseline, full=EXPORTED):
        write.writerows(_lines(section, runs, baseline))
    write.writerows(_pair_line(pair, baseline) for pair in _pairs(runs, baseline, _grades(runs)))
    return response


def _pair_line(pair: PairOfRuns, baseline: Run) -> list[str]:
    run, counts = pair.run, pair.counts
    if counts is None:
        return ["same prompts", f"run {run.pk}", "not compared", "", _safe("; ".join(pair.apart))]
    told = f"both right {counts.both_right}, only run {baseline.pk} {counts.only_baseline}"
    told += f", only run {run.pk} {counts.only_other}, both wrong {counts.both_wrong}"
    return ["same prompts", f"run {run.pk}", f"n = {counts.n}, {counts.p_words}", "", told]


def _lines(section: Section, runs: Sequence[Run], baseline: Run) -> list[list[str]]:
    lines = []
    for row in section.rows:
        deltas = [str(cell.delta or "") for run, cell in zip(runs, row.cells, strict=True) if run != baseline]
        texts = [_safe(cell.text) for cell in row.cells]
        head = [section.name, _safe(row.name), _safe(row.note), "yes" if row.differs else "no"]
        lines.append([*head, *texts, *deltas])
    return lines


def _safe(text: str) -> str:
    """Keep a spreadsheet from taking a text for a formula; numbers stay as they are."""
    if text[:1] not in {"=", "+", "-", "@", "\t", "\r"}:
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text
