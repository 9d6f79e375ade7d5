"""REST routes of metrics: the curves of a run, of several over each other, and every point as a file."""

from typing import Annotated, Literal

from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from ninja import Query, Router

from runs import selectors
from runs.metrics import history
from runs.metrics.curves import read_runs, read_series
from runs.metrics.export import CONTENT_TYPES, Format, export_points
from runs.metrics.schemas import CurvesOut, MetricsOut, RunCurvesOut, SeriesOut
from runs.metrics.series import DEFAULT_POINTS, Cursor
from runs.models import Run
from runs.schemas import StepNumber
from tunix_site.auth import READ
from tunix_site.errors import InvalidInputError
from tunix_site.schemas import ERRORS, MAX_ROW_ID, PositiveId

metrics_router = Router(tags=["training"])

MaxPoints = Annotated[int, Query(ge=1, le=20_000)]
Names = Annotated[str, Query(max_length=2000, description="comma-separated; empty: all")]
MAX_NAMES = 50
MAX_RUNS = 20


@metrics_router.get(
    "runs/{run_id}/metrics",
    response={200: MetricsOut, **ERRORS},
    auth=READ,
    summary="Metrics",
    # The run's own curves say nothing of attempts and other runs; nulls within their lists stay.
    exclude_none=True,
)
def metrics(
    request: HttpRequest,
    run_id: PositiveId,
    names: Names = "",
    from_step: StepNumber | None = None,
    to_step: StepNumber | None = None,
    max_points: MaxPoints = DEFAULT_POINTS,
    after: Annotated[str, Query(max_length=40, description="cursor of an earlier answer")] = "",
    superseded: Annotated[bool, Query(description="also what later attempts have overtaken")] = False,
    ancestors: Annotated[bool, Query(description="also the curves of the runs it came from")] = False,
    format: Annotated[
        Literal["json", "csv", "jsonl"], Query(description="csv, jsonl: every point as a file")
    ] = "json",
) -> MetricsOut | HttpResponseBase:
    """Give series of a run. Long ones come in buckets with their true minimum and maximum.

    What ``superseded`` and ``ancestors`` add comes with a first answer and with one that says ``reset``.
    As a file come all points, whatever ``max_points`` says, with the run, attempt and moment of each.
    """
    run, wanted = selectors.get_run(run_id=run_id), _names(names)
    if format != "json":
        if after or ancestors:
            raise InvalidInputError(
                f"format={format} holds every point of one run.", hint="Leave out after and ancestors."
            )
        return _file(run, format, names=wanted, from_step=from_step, to_step=to_step, superseded=superseded)
    series, cursor, reset = read_series(
        run=run,
        names=wanted,
        from_step=from_step,
        to_step=to_step,
        max_points=max_points,
        after=Cursor.parse(after) if after else None,
    )
    if not after or reset:
        series += history.overtaken_series(run, names=wanted, max_points=max_points) if superseded else []
        series += history.ancestor_series(run, names=wanted, max_points=max_points) if ancestors else []
    return MetricsOut(
        run_id=run.pk,
        status=run.status,
        phase=run.phase,
        step=run.step,
        total_steps=run.total_steps,
        cursor=str(cursor),
        reset=reset,
        series=[SeriesOut.of(one) for one in series],
    )


@metrics_router.get(
    "metrics",
    response={200: CurvesOut, **ERRORS},
    auth=READ,
    summary="Metrics of several runs",
    exclude_none=True,
)
def metrics_of_runs(
    request: HttpRequest,
    ids: Annotated[str, Query(max_length=400, description="up to 20 run ids, comma-separated")],
    names: Names = "",
    from_step: StepNumber | None = None,
    to_step: StepNumber | None = None,
    max_points: MaxPoints = DEFAULT_POINTS,
) -> CurvesOut:
    """Give the curves of several runs, each bucketed to ``max_points``, to be drawn over each other."""
    numbers = _ids(ids)
    found = Run.objects.only("name", "status").in_bulk(numbers)
    curves = read_runs(
        runs=[number for number in numbers if number in found],
        names=_names(names),
        from_step=from_step,
        to_step=to_step,
        max_points=max_points,
    )
    return CurvesOut(
        runs=[
            RunCurvesOut(
                run_id=number,
                name=found[number].name,
                status=found[number].status,
                series=[SeriesOut.of(one) for one in series],
            )
            for number, series in curves.items()
        ],
        missing=[number for number in numbers if number not in found],
    )


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name][:MAX_NAMES]


def _ids(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    wrong = [part for part in parts if not (part.isascii() and part.isdecimal() and len(part) < 20)]
    if wrong or not parts:
        raise InvalidInputError(
            f"ids={wrong[0] if wrong else text!r} is no id of a run.", hint="Give ids=1,2,3."
        )
    numbers = list(dict.fromkeys(map(int, parts)))
    if len(numbers) > MAX_RUNS:
        raise InvalidInputError(
            f"{len(numbers)} runs are more than the {MAX_RUNS} of one answer.",
            hint="Ask in several requests.",
        )
    if not all(1 <= number <= MAX_ROW_ID for number in numbers):
        raise InvalidInputError("An id lies outside of what a database numbers.", hint="Give ids=1,2,3.")
    return numbers


def _file(
    run: Run,
    form: Format,
    *,
    names: list[str],
    from_step: int | None,
    to_step: int | None,
    superseded: bool,
) -> StreamingHttpResponse:
    points = export_points(
        run=run, form=form, names=names, from_step=from_step, to_step=to_step, superseded=superseded
    )
    response = StreamingHttpResponse(points, content_type=CONTENT_TYPES[form])
    response["Content-Disposition"] = f'attachment; filename="run-{run.pk}-metrics.{form}"'
    return response
