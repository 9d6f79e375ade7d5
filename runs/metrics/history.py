"""What belongs to a run's curves besides its own: overtaken points, and those of the runs it came from."""

from collections.abc import Iterator, Sequence

from runs.metrics.reading import Curve, read_curves, wholes
from runs.metrics.series import DEFAULT_POINTS, Series
from runs.models import Run

MAX_ATTEMPTS, MAX_ANCESTORS = 20, 20


def overtaken_count(run: Run) -> int:
    """Count the points that later attempts have overtaken."""
    return sum(row.points for row in wholes([run.pk]) if row.track)


def overtaken_series(
    run: Run, *, names: Sequence[str] = (), max_points: int = DEFAULT_POINTS
) -> list[Series]:
    """Read what later attempts have overtaken, a series for each metric and attempt (the newest ones)."""
    rows = [row for row in wholes([run.pk]) if row.track]
    attempts = sorted({row.track for row in rows})[-MAX_ATTEMPTS:]
    wanted = [row for row in rows if row.track in attempts and (not names or row.name in names)]
    wanted.sort(key=lambda row: (row.track, row.name))
    found = read_curves([Curve(row, row.first_step, row.last_step) for row in wanted], max_points)
    for row, series in zip(wanted, found, strict=True):
        series.attempt, series.superseded = row.track, True
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
    until: dict[int, int] = {}
    departure = None
    for ancestor, step in ancestors(run):
        departure = step if departure is None else min(departure, step)
        until[ancestor.pk] = departure
    rows = [row for row in wholes(until, names) if not row.track]
    rows.sort(key=lambda row: list(until).index(row.run_id))
    curves = [curve for row in rows if (curve := Curve.within(row, None, until[row.run_id]))]
    found = read_curves(curves, max_points)
    for curve, series in zip(curves, found, strict=True):
        series.run_id = curve.whole.run_id
    return [series for series in found if series.total_points]
