"""Building a dataset on request: at once where it is small, in the queue where it is large."""

import logging
from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone
from django_q.tasks import async_task

from datasets_app import stored
from datasets_app.build_request import BuildRequest
from datasets_app.generators import GENERATORS
from datasets_app.models import BuildTask, Dataset
from datasets_app.publishing import Draft, Progress, publish
from datasets_app.services import SeedResult, finish, seed_dataset
from datasets_app.traces import SPLIT_RULE
from tunix_site.errors import ConflictError, InvalidInputError, NotFoundError, UserError
from tunix_site.services import record_audit

logger = logging.getLogger(__name__)

LARGEST_AT_ONCE = 10_000
CLUSTER = "housekeeping"
RUN_BUILD = "datasets_app.tasks.run_build"
CANCELLED = "Cancelled. Nothing was changed."
CANCELLED_LATE = "Cancelled. It was lost while it published; what it published stays."
# All is written and the last look for a cancellation is over: what follows publishes.
_PUBLISHING = Q(total__gt=0, done=F("total"))


class BuildCancelledError(UserError):
    """Somebody cancelled the build."""

    status = 409


def is_large(request: BuildRequest) -> bool:
    """Tell whether a build is too long for a web request (more than 10,000 traces).

    Raises:
        InvalidInputError, NotFoundError: if the request cannot be served at all.
    """
    if not request.is_generated:
        return stored.at_most(request) > LARGEST_AT_ONCE
    spec = GENERATORS[request.key]
    count = request.count or spec.default_count
    spec.check_request(count=count, seed=request.seed)
    return count > LARGEST_AT_ONCE


def build(
    *, request: BuildRequest, actor: User | None = None, progress: Progress | None = None
) -> SeedResult:
    """Build now, generated or from stored traces; the same content is found again, not made twice.

    Raises:
        InvalidInputError: if no stored trace fits, or the generator cannot serve the request.
        NotFoundError: if a filter names a dataset that is not there.
    """
    if request.is_generated:
        result = seed_dataset(key=request.key, count=request.count, seed=request.seed, progress=progress)
    else:
        result = _build_from_stored(request, progress)
    if result.created:
        dataset = result.dataset
        record_audit(
            actor=actor,
            action="dataset.build",
            target_type="dataset",
            target_id=dataset.pk,
            detail={"address": dataset.address, "trace_count": dataset.trace_count},
        )
    return result


def _build_from_stored(request: BuildRequest, progress: Progress | None) -> SeedResult:
    choices = stored.choose(request)
    if not choices:
        raise InvalidInputError(
            f"{request.key}: no stored trace fits.", hint="Widen the filters, or store traces first."
        )
    draft = Draft(
        key=request.key, recipe=request.stored_recipe(SPLIT_RULE), description="chosen from stored traces"
    )
    result = publish(draft=draft, members=lambda: stored.members_of(choices), progress=progress)
    finish(result)
    return SeedResult(result.dataset, result.created)


def enqueue_build(*, request: BuildRequest, actor: User | None = None) -> BuildTask:
    """Write a build down and hand it to the queue, both or neither."""
    content = request.model_dump(mode="json", exclude_none=True)
    with transaction.atomic():
        task = BuildTask.objects.create(request=content, total=_expected(request), requested_by=actor)
        record_audit(
            actor=actor,
            action="dataset.enqueue_build",
            target_type="build",
            target_id=task.pk,
            detail=content,
        )
        async_task(RUN_BUILD, task.pk, cluster=CLUSTER, task_name=f"build-{task.pk}")
    return task


def _expected(request: BuildRequest) -> int:
    if request.is_generated:
        return request.count or GENERATORS[request.key].default_count
    return stored.at_most(request)


def run_queued_build(*, task_id: int) -> None:
    """Carry out a queued build. A second delivery of a task that is done or alive changes nothing."""
    if not _claim(task_id):
        logger.info("Build %s is not waiting; left as it is.", task_id)
        return
    task = BuildTask.objects.get(pk=task_id)

    def tell(done: int, total: int) -> None:
        news: dict[str, object] = {"heartbeat_at": timezone.now()}
        if total:
            news |= {"done": done, "total": total}
        running = BuildTask.objects.filter(pk=task_id, status=BuildTask.Status.RUNNING)
        if not running.filter(cancel_asked=False).update(**news):
            raise BuildCancelledError(CANCELLED)

    try:
        request = BuildRequest.model_validate(task.request)
        result = build(request=request, actor=task.requested_by, progress=tell)
    except BuildCancelledError as error:
        logger.info("Build %s was cancelled.", task_id)
        _end(task_id, BuildTask.Status.CANCELLED, error=str(error))
    except UserError as error:
        _end(task_id, BuildTask.Status.FAILED, error=str(error))
    except Exception:
        _end(
            task_id, BuildTask.Status.FAILED, error="Something went wrong; the worker's log has the details."
        )
        raise
    else:
        _end(task_id, BuildTask.Status.COMPLETED, dataset=result.dataset, created=result.created)


def _claim(task_id: int) -> bool:
    now = timezone.now()
    mine = BuildTask.objects.filter(Q(status=BuildTask.Status.QUEUED) | _silent(now), pk=task_id)
    return mine.update(status=BuildTask.Status.RUNNING, heartbeat_at=now, done=0) == 1


def _silent(now: datetime) -> Q:
    return Q(status=BuildTask.Status.RUNNING, heartbeat_at__lt=now - BuildTask.SILENT_AFTER)


def _end(
    task_id: int, status: str, *, dataset: Dataset | None = None, created: bool | None = None, error: str = ""
) -> None:
    news: dict[str, object] = {
        "status": status,
        "dataset": dataset,
        "created": created,
        "error": error,
        "finished_at": timezone.now(),
    }
    if dataset is not None:
        news |= {"done": dataset.trace_count, "total": dataset.trace_count}
    BuildTask.objects.filter(pk=task_id, status=BuildTask.Status.RUNNING).update(**news)


def cancel_build(*, task_id: int, actor: User | None = None) -> BuildTask:
    """Cancel a build: one that waits or is lost at once, one that runs at its next batch.

    Raises:
        NotFoundError: if there is none with this id.
        ConflictError: if it has ended, or publishes already.
    """
    task = build_task(task_id=task_id)
    now = timezone.now()
    same = BuildTask.objects.filter(pk=task.pk)
    still = same.filter(Q(status=BuildTask.Status.QUEUED) | _silent(now))
    ended = {"status": BuildTask.Status.CANCELLED, "cancel_asked": True, "finished_at": now}
    running = same.filter(~_PUBLISHING, status=BuildTask.Status.RUNNING)
    if not (
        still.filter(~_PUBLISHING).update(**ended, error=CANCELLED)
        or still.filter(_PUBLISHING).update(**ended, error=CANCELLED_LATE)
        or running.update(cancel_asked=True)
    ):
        task.refresh_from_db()
        if task.is_live:
            raise ConflictError(f"Build {task.pk} is being published and can no longer be cancelled.")
        raise ConflictError(f"Build {task.pk} has ended ({task.status}).")
    record_audit(actor=actor, action="dataset.cancel_build", target_type="build", target_id=task.pk)
    task.refresh_from_db()
    return task


def build_task(*, task_id: int) -> BuildTask:
    """Find a queued build.

    Raises:
        NotFoundError: if there is none with this id.
    """
    task = BuildTask.objects.select_related("dataset").filter(pk=task_id).first()
    if task is None:
        raise NotFoundError(f"There is no build {task_id}.")
    return task
