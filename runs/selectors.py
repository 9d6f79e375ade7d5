"""Reads that span models: finding runs and checkpoints, and what pages and API show."""

import datetime as dt
from pathlib import Path

from django.db.models import QuerySet
from django.utils import timezone

from runs.evaluations.telling import headline
from runs.models import Checkpoint, Evaluation, Run, Sample, Worker
from runs.promotion.finding import checkpoint_named
from runs.states import INTERRUPTED, Kind
from training.config import TrainConfig
from training.retention import quality
from tunix_site.errors import NotFoundError

WORKER_FRESH_S = 20


def get_run(*, run_id: int | str) -> Run:
    """Find a run by its number.

    Raises:
        NotFoundError: naming the newest runs there are.
    """
    text = str(run_id)
    run = Run.objects.filter(pk=int(text)).first() if text.isdecimal() and len(text) < 19 else None
    if run is None:
        newest = ", ".join(str(pk) for pk in Run.objects.values_list("pk", flat=True)[:5])
        raise NotFoundError(
            f"There is no run {text}.",
            hint=f"The newest runs are: {newest}." if newest else "There are no runs yet.",
        )
    return run


def list_runs(*, status: str | None = None, kind: str | None = None, dataset: str = "") -> QuerySet[Run]:
    """List runs, newest first, of a status, a kind, and a dataset key where given."""
    rows = Run.objects.order_by("-id")
    if status:
        rows = rows.filter(status=status)
    if kind:
        rows = rows.filter(kind=kind)
    if dataset:
        rows = rows.filter(dataset__key=dataset.replace("\x00", ""))
    return rows


def newest_interrupted_run(*, dataset_key: str | None) -> Run:
    """Find the newest training that was stopped, failed or lost, of one dataset key or of any.

    Raises:
        NotFoundError: when there is none.
    """
    runs = Run.objects.filter(kind=Kind.TRAIN, status__in=INTERRUPTED)
    where = ""
    if dataset_key:
        key = dataset_key.partition("@")[0]
        runs, where = runs.filter(dataset__key=key), f" on {key}"
    run = runs.order_by("-id").first()
    if run is None:
        raise NotFoundError(
            f"There is no interrupted run{where} to resume.",
            hint="Start one with `manage.py train --dataset KEY`.",
        )
    return run


def find_checkpoint(*, run: Run, which: str) -> Checkpoint:
    """Find a checkpoint of a run that is still on disk: ``latest``, ``best``, a step number or an alias.

    ``best`` is what the run's ``best_metric`` says of the evaluation of that step, then the
    lowest evaluation loss, then the later step. An alias is ``NAME``, or ``SCOPE:NAME`` where two scopes
    have it; ``SCOPE:best`` is the alias of that name.

    Raises:
        ConflictError: for an alias that could mean two checkpoints, or whose files are gone.
        InvalidInputError: for a text that can be none of them.
        NotFoundError: naming the steps or the aliases that there are.
    """
    if which not in {"latest", "best"} and not (which.isascii() and which.isdecimal()):
        return checkpoint_named(run, which)
    kept = [row for row in live_checkpoints(run=run) if row.on_disk]
    if not kept:
        raise NotFoundError(
            f"Run {run.pk} has no checkpoint on disk.", hint=f"It is {run.status} at step {run.step}."
        )
    if which == "latest":
        return kept[0]
    if which == "best":
        return max(kept, key=_quality)
    for row in kept:
        if row.step == int(which):
            return row
    steps = ", ".join(str(row.step) for row in kept)
    raise NotFoundError(
        f"Run {run.pk} has no checkpoint of step {which} on disk.", hint=f"There are: {steps}."
    )


def _quality(row: Checkpoint) -> tuple[float, float, int]:
    evaluation = (
        Evaluation.objects.filter(made_by=row.run_id, step=row.step, superseded=False).order_by("-n").first()
    )
    values = evaluation.metrics if evaluation else {}
    metric = row.run.config.get("best_metric", TrainConfig.model_fields["best_metric"].default)
    return quality(values, metric, row.step) or (float("-inf"), float("-inf"), row.step)


def live_checkpoints(*, run: Run) -> QuerySet[Checkpoint]:
    """List the run's checkpoints, newest step first, without superseded and removed ones."""
    return all_checkpoints(run=run).filter(superseded=False, removed_at=None)


def all_checkpoints(*, run: Run) -> QuerySet[Checkpoint]:
    """List every checkpoint that the run ever had, newest step first."""
    return Checkpoint.objects.filter(run=run).order_by("-step", "-attempt")


def run_of_checkpoint_path(*, step_dir: Path) -> Run | None:
    """Find the run whose checkpoint folder holds this step folder."""
    return Run.objects.filter(kind=Kind.TRAIN, checkpoint_dir=str(step_dir.parent)).order_by("-id").first()


def run_evaluations(*, run: Run, superseded: bool = False) -> QuerySet[Evaluation]:
    """List the evaluations of a run's model, by step, with the superseded ones only where asked."""
    rows = Evaluation.objects.filter(run=run).select_related("dataset").order_by("step", "id")
    return rows if superseded else rows.filter(superseded=False)


def overtaken_evaluations(*, run: Run) -> int:
    """Count the evaluations of a run's model that a later attempt has overtaken."""
    return Evaluation.objects.filter(run=run, superseded=True).count()


def headline_evaluation(*, run: Run) -> Evaluation | None:
    """Find the evaluation that says most about a run.

    That is the largest at the newest step, on held-out traces of the run's own dataset, with the likeliest
    text to each prompt, by the grader of the run's own evaluations; others only where there is none.
    """
    attach_headlines(runs=[run])
    return run.headline


def attach_headlines(*, runs: list[Run]) -> None:
    """Give each run its `headline_evaluation` as ``run.headline``, with one query for all."""
    found: dict[int, list[Evaluation]] = {}
    rows = Evaluation.objects.filter(run__in=runs, superseded=False).select_related("dataset")
    for row in rows:
        found.setdefault(row.run_id, []).append(row)
    for run in runs:
        run.headline = headline(run, found.get(run.pk, []))


def evaluation_samples(*, evaluation: Evaluation) -> QuerySet[Sample]:
    """List an evaluation's samples in order, prompt by prompt, with all texts of each."""
    return Sample.objects.filter(evaluation=evaluation).order_by("position", "draw")


def live_workers() -> QuerySet[Worker]:
    """List the workers whose heartbeat is fresh."""
    fresh = timezone.now() - dt.timedelta(seconds=WORKER_FRESH_S)
    return Worker.objects.filter(beat_at__gte=fresh)
