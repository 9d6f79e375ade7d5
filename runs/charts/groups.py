"""Which metrics share a chart, and under which heads the charts of a run stand."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from runs.metrics.curves import newest_points
from runs.metrics.units import UNITS
from runs.models import Run
from runs.states import Kind

type Group = tuple[str, list[str]]

# What is drawn first, in order: title, and the metrics that share one chart.
CHARTS: Final[list[Group]] = [
    ("Loss", ["train/loss", "eval/loss"]),
    ("Throughput", ["train/tokens_per_second"]),
    ("Held-out accuracy", ["eval/answer_accuracy", "eval/step_accuracy"]),
    ("Step time", ["train/step_time"]),
    ("Gradient norm", ["train/grad_norm"]),
    ("Learning rate", ["train/learning_rate"]),
]
EVALUATION_CHARTS: Final[list[Group]] = [
    ("Held-out accuracy", ["eval/answer_accuracy", "eval/step_accuracy"]),
    ("Held-out loss", ["eval/loss"]),
]
# Drawn for a run that has such points.
SYSTEM_CHARTS: Final[list[Group]] = [
    ("Device: utilisation", ["system/gpu_utilisation", "system/gpu_throttled"]),
    ("Device: memory", ["system/gpu_memory_used"]),
    ("Host: memory of the process", ["system/host_memory"]),
    ("Device: power", ["system/gpu_power"]),
    ("Device: temperature", ["system/gpu_temperature"]),
    ("Checkpoints: stall and writing", ["system/checkpoint_stall", "system/checkpoint_time"]),
]
# What the overview of a run shows.
KEY_CHARTS: Final = CHARTS[:3]
SECTIONS: Final = {"train": "Training", "eval": "Evaluation on held-out traces", "system": "Device and host"}
OTHER: Final = "Other metrics"


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart of a page: its title, its series' names (comma-separated) and their unit."""

    title: str
    names: str
    unit: str
    element_id: str


@dataclass(frozen=True, slots=True)
class Section:
    """Charts of one kind, under one head."""

    title: str
    charts: list[Chart]


def imported_charts(run: Run) -> list[Chart]:
    """List some charts of an imported run, whose metrics have any names: losses first."""
    every = [chart for section in chart_sections(run) for chart in section.charts]
    return sorted(every, key=_is_no_loss)[: len(KEY_CHARTS)]


def _is_no_loss(chart: Chart) -> tuple[bool, bool]:
    return ("loss" not in chart.names.lower(), chart.names.startswith("_"))


def chart_sections(run: Run) -> list[Section]:
    """List charts for every metric that a run has, the known ones first, by the first part of their names.

    A training that is still at work also gets the charts that every training fills.
    """
    present = set(newest_points(run))
    expected = {name for _, names in CHARTS for name in names} if _still_fills(run) else set()
    groups = [(title, [name for name in names if name in present | expected]) for title, names in _known()]
    groups = [group for group in groups if group[1]]
    shown = {name for _, names in groups for name in names}
    groups += [(name, [name]) for name in sorted(present - shown)]
    found: dict[str, list[Chart]] = {title: [] for title in SECTIONS.values()}
    for chart in numbered(groups):
        found.setdefault(_section(chart.names), []).append(chart)
    others = found.pop(OTHER, [])
    named = [Section(title, charts) for title, charts in found.items() if charts]
    return [*named, Section(OTHER, others)] if others else named


def _known() -> Iterable[Group]:
    return [*CHARTS, *SYSTEM_CHARTS]


def _still_fills(run: Run) -> bool:
    return run.kind == Kind.TRAIN and run.is_alive


def _section(names: str) -> str:
    head, slash, _ = names.partition("/")
    return SECTIONS.get(head, head) if slash and head else OTHER


def charts_there(run: Run, groups: Sequence[Group], *, expected: bool = False) -> list[Chart]:
    """List the charts that the run has points for, or with ``expected`` all: they will come.

    One query at most.
    """
    if not run.attempt:
        return []
    there = {name for _, group in groups for name in group}
    if not expected:
        there = set(newest_points(run, sorted(there)))
    shown = [(title, [name for name in group if name in there]) for title, group in groups]
    return numbered((title, names) for title, names in shown if names)


def numbered(groups: Iterable[Group]) -> list[Chart]:
    """Make charts of groups, each with a place of its own on the page."""
    return [
        Chart(title, ",".join(names), UNITS.get(names[0], ""), f"chart-{number}")
        for number, (title, names) in enumerate(groups)
    ]
