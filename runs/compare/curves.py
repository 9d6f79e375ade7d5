"""The charts of a comparison: one metric each, all runs over each other."""

from collections.abc import Sequence
from typing import Final

from runs.charts.groups import Chart, numbered
from runs.metrics.units import UNITS

AT_FIRST: Final = (
    "train/loss",
    "eval/loss",
    "eval/answer_accuracy",
    "eval/step_accuracy",
    "train/tokens_per_second",
    "train/grad_norm",
)


def compared_charts(metrics: Sequence[str]) -> list[Chart]:
    """List the charts for the metrics asked for, or for those that a comparison begins with."""
    return numbered((name, [name]) for name in metrics or AT_FIRST)


def known_metrics() -> list[str]:
    """Name the metrics that trainings record."""
    return list(UNITS)
