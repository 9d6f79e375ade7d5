"""Tables of the runs app: the run and its attempts, and what runs leave behind."""

from runs.models.reproduction import Reproduction, Verdict
from runs.models.results import Benchmark, Checkpoint, Evaluation, MetricPoint, Sample
from runs.models.run import Attempt, DeviceLease, Run, Worker

__all__ = [
    "Attempt",
    "Benchmark",
    "Checkpoint",
    "DeviceLease",
    "Evaluation",
    "MetricPoint",
    "Reproduction",
    "Run",
    "Sample",
    "Verdict",
    "Worker",
]
