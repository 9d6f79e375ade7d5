"""Shape facts of runs for pages: chart groups, tables of config and provenance, samples side by side."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from django.db.models import OuterRef, Subquery

from runs.models import MetricPoint, Run, Sample
from runs.series import UNITS
from runs.states import Kind
from training.config import TrainConfig
from training.decoding import Decoding

# What the page draws, in order: title, and the series that share one chart.
CHARTS: list[tuple[str, list[str]]] = [
    ("Loss", ["train/loss", "eval/loss"]),
    ("Throughput", ["train/tokens_per_second"]),
    ("Held-out accuracy", ["eval/answer_accuracy", "eval/step_accuracy"]),
    ("Step time", ["train/step_time"]),
    ("Gradient norm", ["train/grad_norm"]),
    ("Learning rate", ["train/learning_rate"]),
]
# Drawn below those, and only for a run that has such points.
DEVICE_CHARTS: list[tuple[str, list[str]]] = [
    ("Device: utilisation", ["system/gpu_utilisation", "system/gpu_throttled"]),
    ("Device: memory", ["system/gpu_memory_used", "system/host_memory"]),
    ("Device: power", ["system/gpu_power"]),
    ("Device: temperature", ["system/gpu_temperature"]),
]
LATEST = {
    "train/loss": "Training loss",
    "train/tokens_per_second": "Throughput",
    "train/step_time": "Step time",
    "train/grad_norm": "Gradient norm",
    "train/learning_rate": "Learning rate",
}


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart of a page: its title, its series' names and their unit."""

    title: str
    names: str
    unit: str
    element_id: str


@dataclass(frozen=True, slots=True)
class Latest:
    """The newest value of a metric."""

    name: str
    label: str
    value: float | None
    unit: str
    step: int


def chart_groups(run: Run | None) -> list[Chart]:
    """List the charts for a training run (or for a comparison)."""
    if run is not None and run.kind != "train":
        return []
    groups = [*CHARTS, *(_device_charts(run) if run is not None else [])]
    return [
        Chart(title, ",".join(names), UNITS.get(names[0], ""), f"chart-{number}")
        for number, (title, names) in enumerate(groups)
    ]


def _device_charts(run: Run) -> list[tuple[str, list[str]]]:
    wanted = [name for _, names in DEVICE_CHARTS for name in names]
    points = MetricPoint.objects.filter(run=run, name__in=wanted, superseded=False)
    there = set(points.order_by().values_list("name", flat=True).distinct())
    return [
        (title, [name for name in names if name in there])
        for title, names in DEVICE_CHARTS
        if there.intersection(names)
    ]


def latest_values(run: Run) -> list[Latest]:
    """Give the newest point of each per-step metric."""
    newest = MetricPoint.objects.filter(run=run, name=OuterRef("name"), superseded=False).order_by("-step")
    rows = MetricPoint.objects.filter(
        run=run, name__in=LATEST, superseded=False, pk=Subquery(newest.values("pk")[:1])
    )
    by_name = {row.name: row for row in rows}
    return [
        Latest(name, label, by_name[name].value, UNITS.get(name, ""), by_name[name].step)
        for name, label in LATEST.items()
        if name in by_name
    ]


def config_rows(run: Run) -> list[tuple[str, Any, str, bool]]:
    """List the frozen config: field, value, what it means, and whether it differs from the default."""
    rows = []
    for name, value in run.config.items():
        field = TrainConfig.model_fields.get(name)
        default = field.default if field else None
        rows.append((name, value, (field.description or "") if field else "", value != default))
    return rows


def provenance_rows(run: Run) -> list[tuple[str, str]]:
    """List the provenance as flat name and text; nested facts become dotted names.

    Without what the page shows in a form of its own: the packages and the uncommitted changes.
    """
    facts = {name: value for name, value in run.provenance.items() if name not in {"installed", "git_diff"}}
    return list(_flatten("", facts))


def _flatten(prefix: str, value: Any) -> Iterable[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for name, item in value.items():
            yield from _flatten(f"{prefix}.{name}" if prefix else str(name), item)
    elif isinstance(value, list | dict):
        yield prefix, json.dumps(value, ensure_ascii=False)
    elif value not in (None, ""):
        yield prefix, str(value)


@dataclass(frozen=True, slots=True)
class StepPair:
    """A generated step beside the expected one."""

    expected: str | None
    generated: str | None
    valid: bool | None


@dataclass(frozen=True, slots=True)
class SamplePair:
    """A sample with its steps laid side by side."""

    sample: Sample
    steps: list[StepPair]


def paired_samples(samples: Iterable[Sample]) -> list[SamplePair]:
    """Lay each sample's generated steps beside the expected ones."""
    return [
        SamplePair(
            sample,
            [
                StepPair(expected, generated, valid)
                for expected, generated, valid in zip_longest(
                    sample.expected_steps, sample.generated_steps, sample.steps_valid
                )
            ],
        )
        for sample in samples
    ]


@dataclass(frozen=True, slots=True)
class Generation:
    """What a generation wrote: its prompt, the texts, and the settings (name, value, meaning)."""

    prompt: str
    texts: list[dict[str, Any]]
    settings: list[tuple[str, Any, str]]


def generation(run: Run) -> Generation | None:
    """Give what a run of generation wrote; None for other runs and before it has ended."""
    if run.kind != Kind.GENERATE or not run.result:
        return None
    # A run from before there were several texts holds its only one directly.
    texts = run.result.get("texts") or [run.result]
    settings = [
        (name.replace("_", "-"), run.params.get(name, field.default), field.description or "")
        for name, field in Decoding.model_fields.items()
    ]
    return Generation(run.params.get("prompt", ""), texts, settings)
