"""Shape facts of runs for pages: samples side by side, what differs between runs."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from runs.models import Run, Sample


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
