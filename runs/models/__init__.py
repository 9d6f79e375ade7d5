"""Tables of the runs app: the run and its attempts, and what runs leave behind."""

from runs.models.base_models import BaseModel, ModelImport
from runs.models.host import DeviceLease, HostDevice, Worker
from runs.models.metrics import MetricBucket
from runs.models.organising import SavedView, Tag
from runs.models.playground import Generation, PlaygroundSession
from runs.models.promotion import Alias, AliasMove, AliasRule
from runs.models.reproduction import Reproduction, Verdict
from runs.models.results import Benchmark, Checkpoint, Evaluation, MetricPoint, Sample
from runs.models.run import Attempt, Run

__all__ = [
    "Alias",
    "AliasMove",
    "AliasRule",
    "Attempt",
    "BaseModel",
    "Benchmark",
    "Checkpoint",
    "DeviceLease",
    "Evaluation",
    "Generation",
    "HostDevice",
    "MetricBucket",
    "MetricPoint",
    "ModelImport",
    "PlaygroundSession",
    "Reproduction",
    "Run",
    "Sample",
    "SavedView",
    "Tag",
    "Verdict",
    "Worker",
]
