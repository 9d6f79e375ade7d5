"""The charts of a tab for which a run has points."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from runs.charts.groups import Group
from runs.metrics.curves import newest_points
from runs.metrics.units import UNITS
from runs.models import Run

EVALUATION_GROUPS: Final[list[Group]] = [
    ("Held-out accuracy", ["eval/answer_accuracy", "eval/step_accuracy"]),
    ("Held-out loss", ["eval/loss"]),
]
SYSTEM_GROUPS: Final[list[Group]] = [
    ("Device: utilisation", ["system/gpu_utilisation", "system/gpu_throttled"]),
    ("Device: memory", ["system/gpu_memory_used"]),
    ("Host: memory of the process", ["system/host_memory"]),
    ("Device: power", ["system/gpu_power"]),
    ("Device: temperature", ["system/gpu_temperature"]),
    ("Checkpoints: stall and writing", ["system/checkpoint_stall", "system/checkpoint_time"]),
]


@dataclass(frozen=True, slots=True)
class TabChart:
    """A chart: its title, its series' names (comma-separated) and their unit."""

    title: str
    names: str
    unit: str


def charts_there(run: Run, groups: Sequence[Group], *, expected: bool = False) -> list[TabChart]:
    """List the charts that the run has points for, or with ``expected`` all: they will come.

    One query at most.
    """
    if not run.attempt:
        return []
    there = {name for _, group in groups for name in group}
    if not expected:
        there = set(newest_points(run, sorted(there)))
    charts = []
    for title, group in groups:
        if shown := [name for name in group if name in there]:
            charts.append(TabChart(title, ",".join(shown), UNITS.get(shown[0], "")))
    return charts
