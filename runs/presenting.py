"""Shape facts of runs for pages: samples side by side, what differs between runs."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import zip_longest

from runs.models import Sample


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
