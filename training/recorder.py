"""What the training loop tells the outside world, and what it asks of it.

``training`` knows no database and no web framework: it talks through `Recorder`. Numbers
that cross this border are plain Python numbers on the host, never device arrays.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Phase = Literal["starting", "compiling", "training", "evaluating", "saving", "generating", "idle", "finished"]


@dataclass(frozen=True, slots=True)
class CheckpointInfo:
    """A checkpoint that is complete on disk.

    ``stall_seconds``: how long the loop stood still for it; ``write_seconds``: how long
    writing and checking took beside the training.
    """

    step: int
    path: str
    size_bytes: int
    metadata: Mapping[str, Any]
    stall_seconds: float = 0.0
    write_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class GradedSample:
    """One held-out prompt, what the model wrote, and how it was graded.

    ``steps_valid`` has one entry per generated step: True, False, or None where no
    checker knows the step; ``first_wrong_step`` is the index of the first False one. ``checks`` says
    by the name of each further check (see `training.grading`) whether it passed, None where it had
    nothing to check. ``draw`` numbers the texts after one prompt, ``tokens`` counts those of this
    text, ``finished`` tells whether the model ended it itself. ``majority_correct`` says on the first of
    several texts whether the commonest of their answers is right.
    """

    trace_id: str
    prompt: str
    expected_steps: tuple[str, ...]
    expected_answer: str
    generated_text: str
    generated_steps: tuple[str, ...]
    steps_valid: tuple[bool | None, ...]
    answer: str | None
    correct: bool
    rule: str
    draw: int = 0
    tokens: int = 0
    finished: bool = True
    first_wrong_step: int | None = None
    checks: Mapping[str, bool | None] = field(default_factory=dict)
    majority_correct: bool | None = None


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """Loss and graded answers of one checkpoint on one split.

    ``loss`` is nats per supervised token; ``interval`` the 95 % Wilson interval of the
    answer accuracy; ``step_accuracy`` the share of checked steps that are valid, None
    where nothing could be checked; ``overlap`` how many of the ``n`` prompts also stand in
    the training split; ``seconds`` wall time of generation and loss, ``generation_seconds`` of
    generation alone.

    With several texts a prompt (``draws``), ``answer_accuracy`` is the share of right ones among the
    first texts, ``pass_at`` the chance that one of k texts is right by k (Chen et al., arXiv
    2107.03374), ``majority_accuracy`` the share of prompts whose commonest answer is right.
    ``format_rate`` is the share of texts with readable steps and exactly one answer,
    ``right_with_invalid_step`` counts right answers below a step that is not valid.
    ``results_hash`` is the SHA-256 over all texts and verdicts: equal for equal results. ``limit`` is how
    many prompts were asked for at most, ``subset_seed`` what chose them.
    """

    step: int
    split: str
    n: int
    correct: int
    loss: float
    answer_accuracy: float
    interval: tuple[float, float]
    step_accuracy: float | None
    seconds: float
    generated_tokens: int
    final: bool
    samples: Sequence[GradedSample] = field(default_factory=tuple)
    overlap: int = 0
    grader: str = ""
    grader_version: int = 0
    decoding: Mapping[str, Any] = field(default_factory=dict)
    limit: int | None = None
    subset_seed: int = 0
    draws: int = 1
    pass_at: Mapping[str, float] = field(default_factory=dict)
    majority_accuracy: float | None = None
    format_rate: float | None = None
    right_with_invalid_step: int = 0
    generation_seconds: float = 0.0
    results_hash: str = ""


class Recorder(Protocol):
    """The receiver of everything a training process has to tell."""

    def phase(self, name: Phase, step: int) -> None:
        """Say what the process does now."""

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Record the values of one step under their full names (``train/loss`` …)."""

    def checkpoint(self, info: CheckpointInfo) -> None:
        """Record a checkpoint that is complete on disk."""

    def checkpoint_gone(self, step: int, path: str, why: str, freed_bytes: int = 0) -> None:
        """Record that a checkpoint was deleted or set aside, and the bytes that this freed."""

    def evaluation(self, report: EvaluationReport) -> None:
        """Record an evaluation with its samples."""

    def resumed(self, step: int, inexact: str = "") -> None:
        """Say that training goes on after ``step``: what was recorded later is superseded.

        ``inexact`` says what makes this no exact continuation; empty: it is exact.
        """

    def provenance(self, facts: Mapping[str, Any]) -> None:
        """Record where and with what the process runs."""

    def log(self, message: str) -> None:
        """Record one line for people."""

    def should_stop(self) -> bool:
        """Tell whether somebody asked for a stop; cheap, called at every step."""
