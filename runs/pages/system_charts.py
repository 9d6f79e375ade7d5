"""The charts of what a run took of its machine."""

from dataclasses import dataclass
from typing import Final

from runs.metrics.curves import newest_points
from runs.metrics.units import UNITS
from runs.models import Run

_GROUPS: Final = [
    ("Device: utilisation", ["system/gpu_utilisation", "system/gpu_throttled"]),
    ("Device: memory", ["system/gpu_memory_used"]),
    ("Host: memory of the process", ["system/host_memory"]),
    ("Device: power", ["system/gpu_power"]),
    ("Device: temperature", ["system/gpu_temperature"]),
    ("Checkpoints: stall and writing", ["system/checkpoint_stall", "system/checkpoint_time"]),
]


@dataclass(frozen=True, slots=True)
class SystemChart:
    """A chart: its title, its series' names and their unit."""

    title: str
    names: str
    unit: str


def system_charts(run: Run) -> list[SystemChart]:
    """List the charts that the run has points for: one query."""
    names = [name for _, group in _GROUPS for name in group]
    there = newest_points(run, names).keys()
    charts = []
    for title, group in _GROUPS:
        if shown := [name for name in group if name in there]:
            charts.append(SystemChart(title, ",".join(shown), UNITS.get(shown[0], "")))
    return charts
