"""The charts of what a run took of its machine."""

from dataclasses import dataclass
from typing import Final

from django.db.models import Exists, OuterRef

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
    """List the charts that the run has points for: one query, one look at the index for each series."""
    names = [name for _, group in _GROUPS for name in group]
    looks = {
        f"has_{number}": Exists(MetricPoint.objects.filter(run=OuterRef("pk"), name=name))
        for number, name in enumerate(names)
    }
    row = Run.objects.filter(pk=run.pk).values(**looks).first() or {}
    there = {name for number, name in enumerate(names) if row.get(f"has_{number}")}
    charts = []
    for title, group in _GROUPS:
        if shown := [name for name in group if name in there]:
            charts.append(SystemChart(title, ",".join(shown), UNITS.get(shown[0], "")))
    return charts
