"""Shape facts of runs for pages: chart groups, samples side by side, what differs between runs."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from runs.metrics.curves import newest_points
from runs.metrics.units import UNITS
from runs.models import Run, Sample

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


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart of a page: its title, its series' names and their unit."""

    title: str
    names: str
    unit: str
    element_id: str


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
    there = newest_points(run, [name for _, names in DEVICE_CHARTS for name in names]).keys()
    return [
        (title, [name for name in names if name in there])
        for title, names in DEVICE_CHARTS
        if not there.isdisjoint(names)
    ]


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


def differing_rows(runs: list[Run]) -> list[tuple[str, list[Any], bool]]:
    """List config, data and results of several runs: name, one value a run, whether they differ."""
    facts = [_comparable(run) for run in runs]
    names = list(dict.fromkeys(name for fact in facts for name in fact))
    rows = []
    for name in names:
        values = [fact.get(name, "–") for fact in facts]
        rows.append((name, values, any(value != values[0] for value in values)))
    return rows


def _comparable(run: Run) -> dict[str, Any]:
    evaluation = getattr(run, "headline", None)
    return {
        "status": run.status,
        "step": run.step,
        "final loss": f"{run.final_loss:.4f}" if run.final_loss is not None else "–",
        "answers right": f"{evaluation.answer_accuracy:.1%} (n={evaluation.n})" if evaluation else "–",
        "dataset": run.dataset.address if run.dataset else "–",
        "device": run.device_name or run.device_kind,
        "params hash": run.params_hash[:12] or "–",
        **run.config,
    }
