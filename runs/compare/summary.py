"""What came out of each run, as figures that can be set against a baseline's."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from django.db.models import FloatField, OuterRef, Subquery

from runs.compare.deltas import Better, Delta, delta
from runs.models import Benchmark, MetricPoint, Run
from runs.templatetags.run_format import duration, percent, quantity, size

NONE: Final = "–"


@dataclass(frozen=True, slots=True)
class Figure:
    """A number of a run: where it stands, how it is written, and which way is better."""

    label: str
    value: Callable[[Run, "Newest"], float | None]
    write: Callable[[float], str]
    better: Better = ""
    unit: str = ""
    distance: Callable[[float], str] | None = None
    note: Callable[[Run], str] | None = None


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest values of a run's metrics, for runs whose row does not hold them."""

    loss: float | None = None
    tokens_per_second: float | None = None
    step_time: float | None = None


@dataclass(slots=True)
class SummaryRow:
    """A fact of all runs as texts, with distances from the baseline where it is a number."""

    label: str
    unit: str
    texts: dict[int, str]
    deltas: dict[int, Delta] = field(default_factory=dict)
    notes: dict[int, str] = field(default_factory=dict)


def _decimals(value: float) -> str:
    return f"{value:.4f}" if value >= 1e-4 else f"{value:.2e}"


def _points(value: float) -> str:
    points = 100 * value
    # What one digit would round to nothing is told with as many as it needs.
    return f"{points:.1f} points" if points >= 0.05 else f"{points:.1g} points"


def _interval(run: Run) -> str:
    row = run.headline
    if row is None:
        return ""
    interval = f"{percent(row.interval_low)} – {percent(row.interval_high)}"
    return f"95 % interval {interval}, n = {row.n}, step {row.step}"


def _benched(run: Run, name: str) -> float | None:
    made: Benchmark | None = getattr(run, "benchmark", None)
    return getattr(made, name) if made is not None else None


def _first(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)


FIGURES: Final = (
    Figure(
        "answers right",
        lambda run, _: run.headline.answer_accuracy if run.headline else None,
        percent,
        "higher",
        distance=_points,
        note=_interval,
    ),
    Figure(
        "valid steps",
        lambda run, _: run.headline.step_accuracy if run.headline else None,
        percent,
        "higher",
        distance=_points,
    ),
    Figure(
        "held-out loss",
        lambda run, _: run.headline.loss if run.headline else None,
        _decimals,
        "lower",
        "nats/token",
    ),
    Figure("final loss", lambda run, _: run.final_loss, _decimals, "lower", "nats/token"),
    Figure("newest loss", lambda run, new: _first(run.last_loss, new.loss), _decimals, "lower", "nats/token"),
    Figure(
        "throughput",
        lambda run, new: _first(
            run.tokens_per_second, _benched(run, "tokens_per_second"), new.tokens_per_second
        ),
        quantity,
        "higher",
        "tokens/s",
    ),
    Figure(
        "step time",
        lambda run, new: _first(run.step_seconds, _benched(run, "step_time_median"), new.step_time),
        quantity,
        "lower",
        "s",
    ),
    Figure("parameters", lambda run, _: run.parameters, lambda value: f"{value:,.0f}"),
    Figure(
        "checkpoints on disk", lambda run, _: run.checkpoint_bytes or None, lambda value: size(round(value))
    ),
)
WORDS: Final[tuple[tuple[str, Callable[[Run], str]], ...]] = (
    ("kind", lambda run: run.get_kind_display()),
    ("status", lambda run: run.status),
    ("steps", lambda run: f"{run.step} of {run.total_steps}"),
    ("duration", duration),
    ("device", lambda run: run.device_name or run.device_kind),
    ("params hash", lambda run: run.params_hash[:12] or NONE),
    ("came from", lambda run: f"run {run.parent_id}" if run.parent_id else NONE),
    ("owner", lambda run: str(run.owner) if run.owner else NONE),
)


def summary_rows(runs: Sequence[Run], baseline: Run) -> list[SummaryRow]:
    """Set what came out of runs against a baseline; a fact that no run has is left out."""
    newest = _newest(runs)
    rows = [SummaryRow(label, "", {run.pk: text(run) for run in runs}) for label, text in WORDS[:3]]
    for figure in FIGURES:
        values = {run.pk: figure.value(run, newest[run.pk]) for run in runs}
        if all(value is None for value in values.values()):
            continue
        row = SummaryRow(
            figure.label,
            figure.unit,
            {pk: NONE if value is None else figure.write(value) for pk, value in values.items()},
        )
        for run in runs:
            if figure.note is not None:
                row.notes[run.pk] = figure.note(run)
            found = delta(
                values[run.pk],
                values[baseline.pk],
                better=figure.better,
                write=figure.distance or figure.write,
            )
            if found is not None and run.pk != baseline.pk:
                row.deltas[run.pk] = found
        rows.append(row)
    return rows + [SummaryRow(label, "", {run.pk: text(run) for run in runs}) for label, text in WORDS[3:]]


def _newest(runs: Sequence[Run]) -> dict[int, Newest]:
    """Read the newest points of the metrics that figures may need, with one query for all runs."""

    def last(name: str) -> Subquery:
        points = MetricPoint.objects.filter(run=OuterRef("pk"), name=name, superseded=False)
        return Subquery(points.order_by("-step").values("value")[:1], output_field=FloatField())

    rows = Run.objects.filter(pk__in=[run.pk for run in runs]).annotate(
        newest_loss=last("train/loss"),
        newest_speed=last("train/tokens_per_second"),
        newest_time=last("train/step_time"),
    )
    return {
        pk: Newest(loss, speed, time)
        for pk, loss, speed, time in rows.order_by().values_list(
            "pk", "newest_loss", "newest_speed", "newest_time"
        )
    }
