"""REST routes of samples: those of a run, and the same prompt across runs."""

from typing import Annotated, Literal

from django.http import HttpRequest
from ninja import Path, Query, Router

from runs.models import Evaluation, Run, Sample
from runs.samples.prompts import first_texts
from runs.samples.reading import MAX_WITH, elsewhere, read_numbers
from runs.samples.schemas import PromptOut, RunSampleOut, SampleListOut, SampleOut
from runs.samples.verdicts import choose, read_verdicts, search_positions
from runs.selectors import get_run, headline_evaluation, run_evaluations
from tunix_site.auth import READ
from tunix_site.errors import NotFoundError
from tunix_site.schemas import ERRORS, Limit, Offset, PositiveId

samples_router = Router(tags=["training"])

FilterName = Literal["all", "became_right", "became_wrong", "wrong", "right", "right_invalid_step"]
HashPrefix = Annotated[
    str, Query(max_length=64, pattern="^[0-9a-f]*$", description="beginning of a prompt's trace_hash")
]


@samples_router.get(
    "runs/{run_id}/samples", response={200: SampleListOut, **ERRORS}, auth=READ, summary="Generated samples"
)
def samples(
    request: HttpRequest,
    run_id: PositiveId,
    evaluation: PositiveId | None = None,
    verdict: Literal["right", "wrong"] | None = None,
    filter: Annotated[
        FilterName,
        Query(description="by the verdict here and in the evaluation before that holds the prompt"),
    ] = "all",
    q: Annotated[str, Query(max_length=200, description="text in prompt, generated text or answer")] = "",
    prompt: HashPrefix = "",
    limit: Limit = 50,
    offset: Offset = 0,
) -> SampleListOut:
    """List generated traces beside the expected ones (default: of the final or newest evaluation).

    One a prompt: the first text, with the verdict on the majority where it has several, by which `verdict`
    and `filter` choose. `evaluations/{id}/samples` has all texts.
    """
    found = _evaluation(get_run(run_id=run_id), evaluation)
    if found is None:
        return SampleListOut(evaluation_id=None, items=[], count=0)
    rows = first_texts().filter(evaluation=found).order_by("position")
    if verdict is not None:
        rows = rows.filter(right=verdict == "right")
    if prompt:
        # Hashes hold 0-9 and a-f alone, so what begins alike lies together.
        rows = rows.filter(trace_hash__gte=prompt, trace_hash__lt=prompt + "g")
    if filter == "all" and not q:
        page, count = list(rows[offset : offset + limit]), rows.count()
    else:
        fitting = choose(read_verdicts(found), filter, search_positions(found, q))
        kept = set(rows.values_list("position", flat=True)) if verdict or prompt else None
        places = [one.position for one in fitting if kept is None or one.position in kept]
        count = len(places)
        page = list(rows.filter(position__in=places[offset : offset + limit]))
    return SampleListOut(evaluation_id=found.pk, items=[SampleOut.of(row) for row in page], count=count)


def _evaluation(run: Run, number: int | None) -> Evaluation | None:
    if number is None:
        return headline_evaluation(run=run)
    found = run_evaluations(run=run, superseded=True).filter(pk=number).first()
    if found is None:
        raise NotFoundError(f"Run {run.pk} has no evaluation {number}.")
    return found


@samples_router.get(
    "samples/{trace_hash}", response={200: PromptOut, **ERRORS}, auth=READ, summary="One prompt across runs"
)
def across_runs(
    request: HttpRequest,
    trace_hash: Annotated[str, Path(pattern="^[0-9a-f]{64}$")],
    runs: Annotated[str, Query(max_length=400, description=f"numbers of up to {MAX_WITH} runs: 3,7")],
) -> PromptOut:
    """Give what several runs wrote to the same prompt, each at its newest evaluation that holds it."""
    numbers = read_numbers(runs, most=MAX_WITH, what="runs")
    known = Run.objects.in_bulk(numbers)
    unknown = [str(pk) for pk in numbers if pk not in known]
    if unknown:
        raise NotFoundError(f"There is no run {', '.join(unknown)}.")
    found = elsewhere(runs=[known[pk] for pk in numbers], trace_hash=trace_hash)
    held: list[tuple[Run, Sample]] = [(one.run, one.sample) for one in found if one.sample is not None]
    return PromptOut(
        trace_hash=trace_hash,
        items=[RunSampleOut.of_run(run, sample) for run, sample in held],
        without=[one.run.pk for one in found if one.sample is None],
    )
