"""The page of one evaluation, and the form that asks for another."""

from typing import Any, Final
from urllib.parse import urlencode

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from runs import selectors
from runs.evaluations.asking import DEFAULT_LIMIT, SPLITS, grader_of
from runs.evaluations.choosing import CHOICES, count_choices, texts_of
from runs.evaluations.figures import findings_of
from runs.evaluations.forms import read_wanted
from runs.evaluations.repeating import repeats
from runs.evaluations.wording import decoding_in_words, grader_in_words
from runs.models import Evaluation, Run
from runs.pages.paging import page_of
from runs.promotion.offered import offered
from runs.states import Kind
from runs.verbs import VERBS, perform
from training.config import TrainConfig
from training.decoding import Decoding
from training.grading import GRADERS
from tunix_site.auth import scope_required
from tunix_site.errors import UserError
from tunix_site.roles import covers, user_scope

TEXTS_A_PAGE: Final = 20
LONGEST_ID: Final = 19
CHECKPOINTS_OFFERED: Final = 200


@require_GET
@scope_required("read")
def evaluation(request: HttpRequest, number: int) -> HttpResponse:
    """Show everything that is stored of one evaluation."""
    rows = Evaluation.objects.select_related("run", "made_by", "dataset", "checkpoint")
    row = rows.filter(pk=number).first() if len(str(number)) < LONGEST_ID else None
    if row is None:
        raise Http404(f"There is no evaluation {number}.")
    choice = request.GET.get("filter", "all")
    choice = choice if choice in CHOICES else "all"
    counts = count_choices(row)
    found = findings_of(row)
    context = {
        "row": row,
        "repeat": repeats(row),
        "found": found,
        "histogram": found.histogram(),
        "grader": grader_in_words(row),
        "grader_about": GRADERS[row.grader].summary if row.grader in GRADERS else "",
        "decoding": _settings(row),
        "decoding_words": decoding_in_words(row.decoding),
        "pass_at": sorted(((int(k), share) for k, share in row.pass_at.items())),
        "choices": [(one, counts[one.name]) for one in CHOICES.values()],
        "choice": choice,
        "page": page_of(request, texts_of(row, choice), size=TEXTS_A_PAGE),
        "again": _again(row) if covers(user_scope(request.user), "operate") else "",
    }
    return render(request, "runs/evaluation.html", context)


def _again(row: Evaluation) -> str:
    """Give the address of the form that asks for the same once more; empty where nothing can be asked."""
    if row.run.kind != Kind.TRAIN:
        return ""
    settings = {
        name: row.decoding[name]
        for name, field in Decoding.model_fields.items()
        if name in row.decoding and (name == "max_new_tokens" or row.decoding[name] != field.default)
    }
    asked = {
        "checkpoint": row.step,
        "dataset": row.dataset.address if row.dataset else "",
        "split": row.split,
        "limit": row.limit or row.n,
        "grader": row.grader,
        "subset_seed": row.subset_seed if row.grader else "",
        **settings,
    }
    return f"{reverse('runs:evaluate', args=[row.run_id])}?{urlencode(asked)}"


def _settings(row: Evaluation) -> list[tuple[str, Any, str]]:
    return [
        (name.replace("_", "-"), row.decoding[name], field.description or "")
        for name, field in Decoding.model_fields.items()
        if name in row.decoding
    ]


@require_http_methods(["GET", "HEAD", "POST"])
@scope_required("operate")
def ask(request: HttpRequest, run_id: int) -> HttpResponse:
    """Ask what is to be graded and how, or queue the run that does it."""
    run = get_object_or_404(Run.objects.select_related("dataset"), pk=run_id, kind=Kind.TRAIN)
    given = request.POST if request.method == "POST" else request.GET
    error = ""
    if request.method == "POST":
        try:
            done = perform(
                VERBS["evaluate"],
                run,
                actor=request.user,
                origin=f"the page of run {run.pk}",
                **read_wanted(given.dict()),
            )
        except UserError as refused:
            error = str(refused)
        else:
            messages.success(request, done.text)
            return redirect(done.run or run)
    live = selectors.live_checkpoints(run=run)[:CHECKPOINTS_OFFERED]
    steps = [row.step for row in live if row.on_disk]
    chosen = given.get("checkpoint", "").strip() or "latest"
    context = {
        "run": run,
        "error": error,
        "given": given,
        "steps": steps,
        "chosen": chosen,
        "checkpoints": offered(run, steps, chosen),
        "splits": SPLITS,
        "graders": GRADERS.values(),
        "default_grader": grader_of(TrainConfig.model_validate(run.config), run.dataset),
        "default_limit": DEFAULT_LIMIT,
        "settings": _fields(given),
    }
    return render(request, "runs/evaluate.html", context)


def _fields(given: Any) -> list[dict[str, str]]:
    """Give the settings of generation as fields of a form; what is left empty is as by default."""
    return [
        {
            "name": name,
            "label": name.replace("_", "-"),
            "value": given.get(name, ""),
            "default": "as long as needed" if name == "max_new_tokens" else f"{field.default:g}",
            "about": field.description or "",
        }
        for name, field in Decoding.model_fields.items()
    ]
