"""The samples tab of a run: the same held-out prompts through its evaluations, and one of them in full."""

from dataclasses import dataclass, replace
from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from runs.models import Evaluation, Run
from runs.run_page import found_run, frame
from runs.samples.asking import Asked, find_prompt
from runs.samples.line import Line, find_line
from runs.samples.reading import MAX_WITH, Elsewhere, elsewhere, history, matrix, read_detail, read_numbers
from runs.samples.verdicts import FILTERS, Verdict, choose, count_each, read_verdicts, search_positions
from runs.states import Kind
from tunix_site.auth import scope_required
from tunix_site.errors import InvalidInputError

PROMPTS_A_PAGE = 20


@dataclass(frozen=True, slots=True)
class Choice:
    """A link of a page: where it leads, what it says, and whether it is the one that holds now."""

    link: str
    label: str
    current: bool
    count: int = 0


@require_GET
@scope_required("read")
def samples(request: HttpRequest, run_id: int) -> HttpResponse:
    """Show what a run wrote to the held-out prompts, evaluation by evaluation."""
    run = found_run(run_id)
    asked = Asked.read(request.GET.dict())
    line = _line(run, asked)
    context: dict[str, Any] = {**frame(run, user=request.user, tab="samples"), "line": line, "asked": asked}
    if line is not None:
        if asked.evaluation is not None and line.chosen.pk != asked.evaluation:
            asked.notes.append(f"Run {run.pk} has no evaluation {asked.evaluation}; this is its newest.")
        context |= _of_line(run, line, replace(asked, evaluation=line.chosen.pk))
    return render(request, "runs/samples.html", context)


def _line(run: Run, asked: Asked) -> Line | None:
    """Find the evaluations to show: of a run that graded another one's model, those of that model."""
    if run.kind != Kind.EVALUATE or run.parent is None:
        return find_line(run=run, evaluation=asked.evaluation, overtaken=asked.overtaken)
    own = Evaluation.objects.filter(made_by=run).order_by("superseded", "-step", "-id").first()
    if own is None:
        return None
    return find_line(run=run.parent, evaluation=asked.evaluation or own.pk, overtaken=asked.overtaken)


def _of_line(run: Run, line: Line, asked: Asked) -> dict[str, Any]:
    verdicts = read_verdicts(line.chosen)
    found = search_positions(line.chosen, asked.q)
    fitting = choose(verdicts, asked.filter, found)
    wanted = find_prompt(fitting, asked.prompt) or find_prompt(verdicts, asked.prompt)
    if asked.prompt and wanted is None:
        asked.notes.append(f"The evaluation at step {line.chosen.step} has no prompt {asked.prompt[:12]}….")
    place = fitting.index(wanted) if wanted in fitting else None
    paginator = Paginator(fitting, PROMPTS_A_PAGE)
    number = asked.page or (1 if place is None else place // PROMPTS_A_PAGE + 1)
    page = paginator.get_page(number)
    shown: list[Verdict] = list(page.object_list)
    if wanted is None and shown:
        wanted, place = shown[0], page.start_index() - 1
    here = replace(asked, prompt=wanted.trace_hash if wanted else "", page=None)
    counts = count_each(verdicts, found)
    return {
        "asked": here,
        "total": len(verdicts),
        "page": page,
        "rows": [
            (row, here.link(prompt=row.verdict.trace_hash, page=None))
            for row in matrix(evaluation=line.chosen, line=line.shown, verdicts=shown)
        ],
        "columns": [(row, here.link(evaluation=row.pk)) for row in line.shown],
        "other_lines": [(row, here.link(evaluation=row.pk)) for row in line.others],
        "filters": [
            Choice(
                here.link(filter=one.name, prompt="", page=None),
                one.label,
                one.name == asked.filter,
                counts[one.name],
            )
            for one in FILTERS.values()
        ],
        "pages": _pages(here, page),
        "show_overtaken": here.link(overtaken=not asked.overtaken),
        "without_search": here.link(q="", page=None),
        "moves": _moves(here, line, fitting, place),
        **(_of_prompt(run, line, here, wanted) if wanted else {}),
        "place": place,
        "fitting": len(fitting),
    }


def _pages(asked: Asked, page: Any) -> dict[str, str]:
    links = {}
    if page.has_previous():
        links["before"] = asked.link(prompt="", page=page.previous_page_number())
    if page.has_next():
        links["next"] = asked.link(prompt="", page=page.next_page_number())
    return links


def _moves(asked: Asked, line: Line, fitting: list[Verdict], place: int | None) -> dict[str, str]:
    """Give where the keys lead: the prompt before and after, the evaluation before and after."""
    moves = {}
    after = 0 if place is None else place + 1
    if place:
        moves["k"] = asked.link(prompt=fitting[place - 1].trace_hash)
    if after < len(fitting):
        moves["j"] = asked.link(prompt=fitting[after].trace_hash)
    if line.previous:
        moves["["] = asked.link(evaluation=line.previous.pk)
    if line.following:
        moves["]"] = asked.link(evaluation=line.following.pk)
    return moves


def _of_prompt(run: Run, line: Line, asked: Asked, verdict: Verdict) -> dict[str, Any]:
    others, missing = _others(run, asked, verdict)
    return {
        "detail": read_detail(evaluation=line.chosen, verdict=verdict),
        "moments": [
            (moment, asked.link(evaluation=moment.evaluation.pk))
            for moment in history(line=line.shown, trace_hash=verdict.trace_hash)
        ],
        "permalink": Asked(evaluation=line.chosen.pk, prompt=verdict.trace_hash).link(),
        "elsewhere": others,
        "missing_runs": missing,
    }


def _others(run: Run, asked: Asked, verdict: Verdict) -> tuple[list[Elsewhere], list[int]]:
    if not asked.runs.strip():
        return [], []
    try:
        numbers = read_numbers(asked.runs, most=MAX_WITH, what="with")
    except InvalidInputError as error:
        asked.notes.append(str(error))
        return [], []
    known = Run.objects.in_bulk(numbers)
    runs = [known[pk] for pk in numbers if pk in known and pk != run.pk]
    return elsewhere(runs=runs, trace_hash=verdict.trace_hash), [pk for pk in numbers if pk not in known]
