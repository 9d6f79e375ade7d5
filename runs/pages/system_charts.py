"""The charts of what a run took of its machine."""

from dataclasses import dataclass
from typing import Final

from runs.models import MetricPoint, Run
from runs.series import UNITS

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
    """List the charts that the run has points for. One look by the index for each series."""
    charts = []
    for title, names in _GROUPS:
        there = [name for name in names if MetricPoint.objects.filter(run=run, name=name).exists()]
        if there:
            charts.append(SystemChart(title, ",".join(there), UNITS.get(there[0], "")))
    return charts
