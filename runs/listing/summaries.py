"""Columns of a run that lists show, kept current, so that a list of ten thousand reads no points.

Each is worked out anew from what is stored, never added to, so a batch that is stored twice, a resume
that overtakes points or a removed checkpoint leave nothing wrong behind.
"""

from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any, Final

from django.db.models import Q, Sum

from runs.evaluations.telling import Telling
from runs.models import Attempt, Checkpoint, Evaluation, MetricPoint, Run
from runs.states import Kind
from training.bases import model_shape
from training.config import TrainConfig
from training.errors import ConfigError
from training.model_config import parameter_count
from training.retention import quality

# The pace of a run is the median of its last steps: one that waited for an evaluation does not move it.
PACE_STEPS: Final = 21
LOSS, SPEED, STEP_TIME = "train/loss", "train/tokens_per_second", "train/step_time"
OF_CHECKPOINTS: Final = frozenset({"checkpoint", "gone", "resumed"})
OF_EVALUATIONS: Final = frozenset({"evaluation", "resumed"})


def refresh_summary(run: Run) -> None:
    """Work every summary column of a run out anew."""
    _write(
        run.pk,
        **_of_points(run.pk),
        checkpoint_bytes=_checkpoint_bytes(run.pk),
        parameters=parameters_of(run.config, run.provenance),
        best_evaluation=best_evaluation(run),
    )


def note_stored(attempt: Attempt, events: Iterable[Mapping[str, Any]]) -> None:
    """Bring the columns up to date that events of an attempt's journal, just stored, may have changed.

    Part of the transaction that stores them. A grading run changes the columns of the run that it graded.
    """
    run = attempt.run
    seen: set[str] = set()
    columns: dict[str, Any] = {}
    for event in events:
        seen.add(event["k"])
        if event["k"] == "provenance":
            columns["parameters"] = parameters_of(run.config, event["facts"])
    if seen & {"metrics", "resumed"}:
        columns |= _of_points(run.pk)
    if seen & OF_CHECKPOINTS:
        columns["checkpoint_bytes"] = _checkpoint_bytes(run.pk)
    if columns:
        _write(run.pk, **columns)
    if seen & OF_EVALUATIONS:
        graded = [run.parent_id] if run.kind == Kind.EVALUATE and run.parent_id else []
        refresh_evaluations([run.pk, *graded])


def refresh_evaluations(numbers: Iterable[int]) -> None:
    """Find the best evaluation of each of the runs anew."""
    for run in Run.objects.filter(pk__in=list(numbers)).only("kind", "dataset", "config"):
        _write(run.pk, best_evaluation=best_evaluation(run))


def refresh_checkpoints(number: int) -> None:
    """Add the sizes of a run's checkpoints up anew."""
    _write(number, checkpoint_bytes=_checkpoint_bytes(number))


def parameters_of(config: Mapping[str, Any], provenance: Mapping[str, Any] | None = None) -> int | None:
    """Give the number of a model's parameters: what was recorded, else what its shape has."""
    facts = provenance or {}
    model = facts.get("model")
    recorded = facts.get("parameters") or (model.get("parameters") if isinstance(model, Mapping) else None)
    if isinstance(recorded, int) and 0 < recorded < 2**62:
        return recorded
    try:
        return parameter_count(model_shape(str(config.get("model", ""))))
    except ConfigError:
        return None


def best_evaluation(run: Run) -> Evaluation | None:
    """Find a run's best evaluation, by its recipe's ``best_metric``; for a grading run, what it made.

    What the model was before its first update counts only where nothing else is there. Held-out traces of
    the run's own dataset go before all others, then the likeliest text to each prompt, then the grader of
    the run's own evaluations; ties go to the lower loss, the later step and the larger sample.
    """
    about = Q(made_by=run.pk) if run.kind == Kind.EVALUATE else Q(run=run.pk)
    metric = run.config.get("best_metric", TrainConfig.model_fields["best_metric"].default)
    worst = (float("-inf"), float("-inf"), 0)
    rows = list(Evaluation.objects.filter(about, superseded=False))
    telling = Telling(run, rows)

    def rank(row: Evaluation) -> tuple[Any, ...]:
        return (*telling.rank(row), quality(row.metrics, metric, row.step) or worst, row.n, row.pk)

    return max(rows, key=rank, default=None)


def _of_points(number: int) -> dict[str, float | None]:
    losses = _newest(number, LOSS, 1)
    return {
        "last_loss": losses[0] if losses else None,
        "tokens_per_second": _typical(_newest(number, SPEED, PACE_STEPS)),
        "step_seconds": _typical(_newest(number, STEP_TIME, PACE_STEPS)),
    }


def _newest(number: int, name: str, count: int) -> list[float | None]:
    points = MetricPoint.objects.filter(run=number, name=name, superseded=False)
    return list(points.order_by("-step", "-attempt").values_list("value", flat=True)[:count])


def _typical(values: list[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return median(there) if there else None


def _checkpoint_bytes(number: int) -> int:
    live = Checkpoint.objects.filter(run=number, superseded=False, removed_at=None)
    return live.aggregate(sum=Sum("size_bytes"))["sum"] or 0


def _write(number: int, **columns: Any) -> None:
    Run.objects.filter(pk=number).update(**columns)
