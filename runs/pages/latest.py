"""The newest value of each metric that a training writes at every step."""

from dataclasses import dataclass
from typing import Any, Final

from django.db.models import Subquery

from runs.models import MetricPoint, Run
from runs.series import UNITS

LATEST: Final = {
    "train/loss": "Training loss",
    "train/tokens_per_second": "Throughput",
    "train/step_time": "Step time",
    "train/grad_norm": "Gradient norm",
    "train/learning_rate": "Learning rate",
}


@dataclass(frozen=True, slots=True)
class Latest:
    """The newest value of a metric."""

    name: str
    label: str
    value: float | None
    unit: str
    step: int


def latest_values(run: Run) -> list[Latest]:
    """Give the newest point of each per-step metric: one query, one look at the index for each metric."""
    points = MetricPoint.objects.filter(run=run, superseded=False)
    newest: Any = [Subquery(points.filter(name=name).order_by("-step").values("pk")[:1]) for name in LATEST]
    by_name = {row.name: row for row in MetricPoint.objects.filter(pk__in=newest)}
    return [
        Latest(name, label, by_name[name].value, UNITS.get(name, ""), by_name[name].step)
        for name, label in LATEST.items()
        if name in by_name
    ]
