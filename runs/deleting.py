"""Delete a run for good: its rows and its files, all or nothing."""

from collections.abc import Iterable

from django.db import IntegrityError, transaction
from django.db.models import Q

from runs.listing.summaries import refresh_evaluations
from runs.models import (
    Attempt,
    Benchmark,
    Checkpoint,
    DeviceLease,
    Evaluation,
    MetricBucket,
    MetricPoint,
    Reproduction,
    Run,
    Sample,
)
from runs.own_files import SetAside
from runs.promotion.holding import HOW_TO_FREE, names_of_runs
from runs.services import Actor, audit
from runs.states import ENDED, Kind, Status
from runs.store import store_id
from tunix_site.errors import ConflictError, NotFoundError, UserError

DELETABLE = ENDED | {Status.DRAFT}
# They grade or sample a run's model, and say nothing without it.
DEPENDANT = (Kind.EVALUATE, Kind.GENERATE)


def delete_run(run: Run, *, actor: Actor = None) -> int:
    """Delete a run with its evaluations and generations, its points, checkpoints, logs and profiles.

    In one transaction it is held, its folders are renamed and its rows deleted; then the files are
    removed. Where something fails before the rows are gone, everything is as it was.

    Returns:
        The bytes that this freed.

    Raises:
        ConflictError: while it is alive, has pinned checkpoints or ones that an alias points at, is what
            another run came from or is to start from, or lies on another host.
    """
    doomed = [run, *_dependants(run)]
    _refuse(doomed)
    numbers = [one.pk for one in doomed]
    aside = SetAside()
    try:
        with transaction.atomic():
            _hold(run, numbers)
            for one in doomed:
                aside.take(one)
            _delete_rows(numbers)
            detail = {"kind": run.kind, "name": run.name, "with_runs": numbers[1:], "left": aside.left}
            audit(run, "deleted", actor, freed_bytes=aside.size, **detail)
    except NotFoundError:
        raise
    except OSError as error:
        aside.put_back()
        raise UserError(
            f"Run {run.pk} is still there: {error.filename}: {error.strerror}.",
            hint="Mend that and delete it again.",
        ) from error
    except IntegrityError as error:
        aside.put_back()
        raise ConflictError(
            f"Run {run.pk} is still there: something new refers to it.", hint="Delete it again to see what."
        ) from error
    except BaseException:
        aside.put_back()
        raise
    return aside.remove()


def _dependants(run: Run) -> list[Run]:
    found: list[Run] = []
    generation = [run.pk]
    while generation:
        children = list(Run.objects.filter(parent__in=generation, kind__in=DEPENDANT).order_by("id"))
        found += children
        generation = [child.pk for child in children]
    return found


def _refuse(doomed: list[Run]) -> None:
    run, numbers = doomed[0], [one.pk for one in doomed]
    for one in doomed:
        if one.status not in DELETABLE:
            which = f"Run {one.pk}" if one is run else f"Run {one.pk} ({one.get_kind_display()} of it)"
            raise ConflictError(f"{which} is {one.status}.", hint="Stop it first, then delete.")
        if one.store and one.store != store_id():
            raise ConflictError(
                f"The files of run {one.pk} lie in the artifacts folder of another host.",
                hint=f"Delete it there: manage.py control delete {run.pk}.",
            )
    children = Run.objects.filter(parent__in=numbers).exclude(pk__in=numbers).order_by("id")
    if others := [f"run {pk}" for pk in children.values_list("pk", flat=True)[:5]]:
        raise ConflictError(
            f"Run {run.pk} is what {_listed(others)} came from.",
            hint=f"Delete {'that' if len(others) == 1 else 'those'} first, or keep this one.",
        )
    _refuse_needed_checkpoints(run, doomed)


def _refuse_needed_checkpoints(run: Run, doomed: list[Run]) -> None:
    numbers = [one.pk for one in doomed]
    pinned = Checkpoint.objects.filter(run__in=numbers, pinned=True, removed_at=None).order_by("step")
    if steps := list(pinned.values_list("step", flat=True)[:5]):
        named = _listed([str(step) for step in steps])
        word = "step" if len(steps) == 1 else "steps"
        raise ConflictError(
            f"Run {run.pk} has a pinned checkpoint of {word} {named}.",
            hint=f"Unpin first: manage.py control unpin {run.pk} --step {steps[0]}.",
        )
    if held := names_of_runs(numbers):
        named = _listed(
            [f"{name} (step {checkpoint.step} of run {checkpoint.run_id})" for name, checkpoint in held[:5]]
        )
        raise ConflictError(
            f"Run {run.pk} cannot go: a checkpoint of it is what {named} points at.",
            hint=HOW_TO_FREE,
        )
    starts_here = Q()
    for one in doomed:
        if one.checkpoint_dir:
            starts_here |= Q(resume_path__startswith=f"{one.checkpoint_dir.rstrip('/')}/")
    waiting = Run.objects.filter(starts_here).exclude(pk__in=numbers).exclude(status__in=ENDED)
    if starts_here and (other := waiting.order_by("id").first()):
        raise ConflictError(
            f"Run {other.pk} ({other.status}) is to start from a checkpoint of run {run.pk}.",
            hint=f"Stop or delete run {other.pk} first.",
        )


def _hold(run: Run, numbers: list[int]) -> None:
    """Keep others from starting one of the runs until this is through."""
    held = Run.objects.filter(pk__in=numbers, status__in=DELETABLE).update(phase="deleting")
    if held == len(numbers):
        return
    status = Run.objects.filter(pk=run.pk).values_list("status", flat=True).first()
    if status is None:
        raise NotFoundError(f"Run {run.pk} is gone already.")
    raise ConflictError(f"Run {run.pk} or what was made from it is at work again (run {run.pk} is {status}).")


def _delete_rows(numbers: list[int]) -> None:
    """Delete all rows, the many first: each table by one statement, none of them loaded."""
    graded = list(
        Run.objects.filter(best_evaluation__made_by__in=numbers)
        .exclude(pk__in=numbers)
        .values_list("pk", flat=True)
    )
    Sample.objects.filter(Q(evaluation__run__in=numbers) | Q(evaluation__made_by__in=numbers)).delete()
    MetricBucket.objects.filter(run__in=numbers).delete()
    MetricPoint.objects.filter(run__in=numbers).delete()
    Evaluation.objects.filter(Q(run__in=numbers) | Q(made_by__in=numbers)).delete()
    Reproduction.objects.filter(Q(run__in=numbers) | Q(of__in=numbers)).delete()
    for table in (Checkpoint, Attempt, Benchmark, DeviceLease):
        table.objects.filter(run__in=numbers).delete()
    # Children before the runs that they came from, which the database protects.
    for number in reversed(numbers):
        Run.objects.filter(pk=number).delete()
    refresh_evaluations(graded)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
