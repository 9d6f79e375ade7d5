"""Evaluations out of a journal, and what a later attempt overtakes of an earlier one."""

import datetime as dt
from collections.abc import Iterable, Iterator
from typing import Any

from django.db import transaction
from django.db.models import Min, Q

from runs.metrics.rollups import overtake
from runs.models import Attempt, Checkpoint, Evaluation, MetricPoint, Run, Sample
from runs.states import Kind

# What journals from before these were recorded do not hold.
LATER_FIELDS = (
    "grader", "grader_version", "decoding", "limit", "subset_seed", "draws", "pass_at", "majority_accuracy",
    "format_rate", "right_with_invalid_step", "generation_seconds", "results_hash",
)  # fmt: skip
LATER_SAMPLE_FIELDS = ("draw", "tokens", "finished", "first_wrong_step", "checks", "majority_correct")
SAMPLE_FIELDS = (
    "prompt", "expected_steps", "expected_answer", "generated_text", "generated_steps", "steps_valid",
    "answer", "correct", "rule",
)  # fmt: skip


def supersede(attempt: Attempt, step: int) -> None:
    """Mark what earlier attempts recorded after the step from which this one goes on."""
    overtake(attempt.run_id, attempt__lt=attempt.number, step__gt=step)
    _supersede_checkpoints(run_id=attempt.run_id, attempt__lt=attempt.number, step__gt=step)
    # A run that grades another's model counts prompts; its evaluation has the step of that model.
    if attempt.run.kind != Kind.EVALUATE:
        Evaluation.objects.filter(
            made_by_id=attempt.run_id, attempt__lt=attempt.number, step__gt=step
        ).update(superseded=True)


def _supersede_checkpoints(**which: Any) -> None:
    """Mark checkpoints, and what any run graded of them: those models are not the run's any more."""
    rows = Checkpoint.objects.filter(**which)
    rows.update(superseded=True)
    Evaluation.objects.filter(checkpoint__in=rows, superseded=False).update(superseded=True)


def supersede_at(attempt: Attempt, step: int, names: Iterable[str]) -> None:
    """Mark what earlier attempts measured at a step that this one measures again before its own first."""
    if attempt.number == 1 or 0 < attempt.start_step < step:
        return
    earlier: dict[str, Any] = {"attempt__lt": attempt.number, "step": step}
    points = MetricPoint.objects.filter(
        run_id=attempt.run_id, name__in=list(names), superseded=False, **earlier
    )
    for name in points.order_by().values_list("name", flat=True).distinct():
        overtake(attempt.run_id, name=name, **earlier)


def mark_overtaken(attempt: Attempt) -> None:
    """Mark what later attempts have overtaken of one whose journal was stored after theirs."""
    own = {"run_id": attempt.run_id, "attempt": attempt.number}
    graded = Evaluation.objects.filter(made_by_id=attempt.run_id, attempt=attempt.number)
    later = {"attempt__gt": attempt.number}
    with transaction.atomic():
        # Those that never got to a first step overtook nothing.
        began = Attempt.objects.filter(run_id=attempt.run_id, number__gt=attempt.number).filter(
            Q(start_step__gt=0) | Q(end_step__isnull=False)
        )
        starts = began.aggregate(first=Min("start_step"))["first"]
        if starts is not None:
            overtake(attempt.run_id, attempt=attempt.number, step__gt=starts)
            again = MetricPoint.objects.filter(run_id=attempt.run_id, step=starts, superseded=False, **later)
            for name in again.order_by().values_list("name", flat=True).distinct():
                overtake(attempt.run_id, name=name, attempt=attempt.number, step=starts)
            _supersede_checkpoints(**own, step__gt=starts)
            if attempt.run.kind != Kind.EVALUATE:
                graded.filter(step__gt=starts).update(superseded=True)
        for step, split in Evaluation.objects.filter(made_by_id=attempt.run_id, **later).values_list(
            "step", "split"
        ):
            graded.filter(step=step, split=split).update(superseded=True)
            overtake(attempt.run_id, prefix="eval/", attempt=attempt.number, step=step)


def _supersede_evaluation(attempt: Attempt, event: dict[str, Any]) -> None:
    """Mark an evaluation that an earlier attempt had begun to record at the same step."""
    earlier = {"attempt__lt": attempt.number, "step": event["step"]}
    Evaluation.objects.filter(made_by_id=attempt.run_id, split=event["split"], **earlier).update(
        superseded=True
    )
    overtake(attempt.run_id, prefix="eval/", **earlier)


def store_evaluation(attempt: Attempt, event: dict[str, Any], at: dt.datetime) -> None:
    """Store an evaluation with its samples, once; it gives an earlier attempt's place to this one."""
    run = attempt.run
    # An evaluation run grades its parent's model; a training run its own.
    about = run.parent_id if run.kind == Kind.EVALUATE and run.parent_id else run.pk
    checkpoint = _graded_checkpoint(run, about, event["step"])
    evaluation, created = Evaluation.objects.get_or_create(
        made_by_id=run.pk,
        attempt=attempt.number,
        step=event["step"],
        split=event["split"],
        final=event["final"],
        defaults={
            "run_id": about,
            "dataset_id": run.dataset_id,
            "n": event["n"],
            "correct": event["correct"],
            "loss": finite_or_none(event["loss"]),
            "answer_accuracy": event["answer_accuracy"],
            "interval_low": event["interval"][0],
            "interval_high": event["interval"][1],
            "step_accuracy": event["step_accuracy"],
            "seconds": event["seconds"],
            "generated_tokens": event["generated_tokens"],
            "created_at": at,
            "checkpoint": checkpoint,
            # A resume may overtake a checkpoint while another run grades it.
            "superseded": checkpoint is not None and checkpoint.superseded,
            **{name: event[name] for name in LATER_FIELDS if name in event},
        },
    )
    if not created:
        return
    _supersede_evaluation(attempt, event)
    Sample.objects.bulk_create(_samples(evaluation, event["samples"]), batch_size=500)


def _samples(evaluation: Evaluation, told: list[dict[str, Any]]) -> Iterator[Sample]:
    """Give the rows of an evaluation's texts; all texts after one prompt share its position."""
    position = -1
    for sample in told:
        position += not sample.get("draw", 0)
        yield Sample(
            evaluation=evaluation,
            position=position,
            trace_hash=sample["trace_id"],
            **{name: sample[name] for name in SAMPLE_FIELDS},
            **{name: sample[name] for name in LATER_SAMPLE_FIELDS if name in sample},
        )


def _graded_checkpoint(run: Run, about: int, step: int) -> Checkpoint | None:
    """Find the checkpoint that was graded: the one named to a grading run, else the newest of that step."""
    rows = Checkpoint.objects.filter(run_id=about, step=step)
    if run.kind == Kind.EVALUATE:
        return rows.filter(path=run.params.get("step_dir", "")).order_by("-attempt").first()
    return rows.filter(superseded=False).order_by("-attempt").first()


def note_checkpoint(row: Checkpoint) -> None:
    """Name a checkpoint in the evaluations of its step that were stored before it was complete."""
    Evaluation.objects.filter(
        run_id=row.run_id, made_by_id=row.run_id, step=row.step, attempt=row.attempt, checkpoint=None
    ).update(checkpoint=row)


def finite_or_none(value: float | str | None) -> float | None:
    """Give a journal number as the database keeps it: text (not finite) becomes NULL."""
    return None if isinstance(value, str) else value
