"""The newest value of each metric that a training writes at every step."""

from dataclasses import dataclass
from typing import Final

from runs.metrics.curves import newest_points
from runs.metrics.units import UNITS
from runs.models import Run

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
    """Give the newest point of each per-step metric."""
    newest = newest_points(run, list(LATEST))
    return [
        Latest(name, label, newest[name].last_value, UNITS.get(name, ""), newest[name].last_step)
        for name, label in LATEST.items()
        if name in newest
    ]
