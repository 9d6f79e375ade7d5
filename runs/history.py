"""What belongs to a run's curves besides its own: overtaken points, and those of the runs it came from."""

from collections.abc import Iterator, Sequence

from runs.models import MetricPoint, Run
from runs.series import DEFAULT_POINTS, Series, read_points

MAX_ATTEMPTS, MAX_ANCESTORS = 20, 20


def overtaken_count(run: Run) -> int:
    """Count the points that later attempts have overtaken."""
    return MetricPoint.objects.filter(run=run, superseded=True).count()


def overtaken_series(
    run: Run, *, names: Sequence[str] = (), max_points: int = DEFAULT_POINTS
) -> list[Series]:
    """Read what later attempts have overtaken, a series for each metric and attempt (the newest ones)."""
    points = MetricPoint.objects.filter(run=run, superseded=True)
    numbers = points.order_by("-attempt").values_list("attempt", flat=True).distinct()[:MAX_ATTEMPTS]
    found = []
    for attempt in sorted(numbers):
        for series in read_points(points.filter(attempt=attempt), names=names, max_points=max_points):
            series.attempt, series.superseded = attempt, True
            found.append(series)
    return found


def ancestors(run: Run) -> Iterator[tuple[Run, int]]:
    """Walk from a run to those whose checkpoints it came from, each with the step of departure."""
    seen = {run.pk}
    while run.parent is not None and run.parent_step is not None and run.resume_path:
        if run.parent_id in seen or len(seen) > MAX_ANCESTORS:
            return
        seen.add(run.parent.pk)
        yield run.parent, run.parent_step
        run = run.parent


def ancestor_series(run: Run, *, names: Sequence[str] = (), max_points: int = DEFAULT_POINTS) -> list[Series]:
    """Read the curves of the runs that this one came from, each up to where the next one left it."""
    found: list[Series] = []
    until: int | None = None
    for ancestor, departure in ancestors(run):
        until = departure if until is None else min(until, departure)
        points = MetricPoint.objects.filter(run=ancestor, superseded=False, step__lte=until)
        for series in read_points(points, names=names, max_points=max_points):
            series.run_id = ancestor.pk
            found.append(series)
    return found
