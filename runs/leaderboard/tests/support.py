"""Graded evaluations of many runs, written straight into the tables."""

from typing import Any

from django.utils import timezone

from datasets_app.models import Dataset
from runs.models import Evaluation, Run
from runs.overlap.facts import overlap_facts
from runs.states import Kind, Status
from training.config import make_config
from training.grading import wilson_interval


def clean(n: int = 100, **counts: int) -> dict[str, Any]:
    """The stored overlap of an evaluation that was looked at."""
    found = {"trace": 0, "prompt": 0, "ngram": 0, **counts}
    mark = "prompts" if found["trace"] + found["prompt"] else "ngrams" if found["ngram"] else "clean"
    facts = {"state": "done", "method": 1, "mark": mark, "n": n, "complete": True, "why": "", **found}
    assert overlap_facts(facts).mark == mark
    return facts


def make_runs(count: int, dataset: Dataset, **facts: Any) -> list[Run]:
    config = make_config({"model": "nano"}).model_dump(mode="json")
    return Run.objects.bulk_create(
        Run(
            kind=Kind.TRAIN, name=f"run {number}", config=config, dataset=dataset, status=Status.COMPLETED,
            device_kind="cpu", provenance={"installed": ["a==1"] * 200}, **facts,
        )
        for number in range(count)
    )  # fmt: skip


def graded(run: Run, correct: int, n: int = 100, **facts: Any) -> Evaluation:
    """An evaluation, not stored yet."""
    low, high = wilson_interval(correct, n)
    values: dict[str, Any] = {
        "dataset": run.dataset, "split": "test", "step": 10, "attempt": 1, "grader": "auto",
        "grader_version": 1, "decoding": {"temperature": 0.0, "max_new_tokens": 256},
        "overlap": clean(n), "loss": 0.5, "step_accuracy": 0.9,
        "right_with_invalid_step": 2, "seconds": 1.5, "generated_tokens": 1234,
        "created_at": timezone.now(), "final": False, **facts,
    }  # fmt: skip
    return Evaluation(
        run=run, made_by=run, n=n, correct=correct, answer_accuracy=correct / n, interval_low=low,
        interval_high=high, **values,
    )  # fmt: skip


def store(run: Run, correct: int, n: int = 100, **facts: Any) -> Evaluation:
    row = graded(run, correct, n, **facts)
    row.save()
    return row


def fill(dataset: Dataset, *, runs: int = 300, evaluations: int = 10_000) -> None:
    """Many evaluations of many runs, all on one board."""
    rows = make_runs(runs, dataset)
    each = -(-evaluations // runs)
    made = [
        graded(run, (7 * number + step) % 101, step=step, overlap=clean(trace=number % 7 == 0))
        for number, run in enumerate(rows)
        for step in range(1, each + 1)
    ]
    Evaluation.objects.bulk_create(made[:evaluations], batch_size=500)
