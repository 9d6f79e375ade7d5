"""Making quality reports: at once where a dataset is small, in the queue where it is large."""

import logging

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django_q.tasks import async_task

from datasets_app.models import Dataset, QualityReport
from datasets_app.quality.report import REPORT_VERSION, ReportRequest, Tell, make_report
from tunix_site.errors import ConflictError, InvalidInputError, NotFoundError, UserError
from tunix_site.services import record_audit

logger = logging.getLogger(__name__)

LARGEST_AT_ONCE = 10_000
CLUSTER = "housekeeping"
RUN_REPORT = "datasets_app.tasks.run_quality_report"
MIN_LENGTH, MAX_LENGTH = 16, 131_072
BROKEN = "Something went wrong; the worker's log has the details."


class ReportCancelledError(UserError):
    """Somebody asked for the work to end."""


def is_large(*, dataset: Dataset, other: Dataset | None = None) -> bool:
    """Tell whether a report is too long for a web request (more than 10,000 traces to read)."""
    return dataset.trace_count + (other.trace_count if other else 0) > LARGEST_AT_ONCE


def reports_of(*, dataset: Dataset) -> QuerySet[QualityReport]:
    """Give the reports of a dataset, the newest first."""
    return QualityReport.objects.filter(dataset=dataset).select_related("dataset", "other")


def latest_report(*, dataset: Dataset) -> QualityReport | None:
    """Give the newest finished report of this version of reports."""
    done = reports_of(dataset=dataset).filter(
        status=QualityReport.Status.COMPLETED, report_version=REPORT_VERSION
    )
    return done.first()


def report_by_id(*, dataset: Dataset, report_id: int) -> QualityReport:
    """Find a report of a dataset.

    Raises:
        NotFoundError: if the dataset has none with this id.
    """
    report = reports_of(dataset=dataset).filter(pk=report_id).first()
    if report is None:
        raise NotFoundError(f"{dataset.address} has no quality report {report_id}.")
    return report


def request_report(
    *,
    dataset: Dataset,
    other: Dataset | None = None,
    sequence_length: int = 512,
    actor: User | None = None,
    at_once: bool | None = None,
    tell: Tell = lambda _done, _total: None,
) -> QualityReport:
    """Make a report, or find the same one made before; a large one waits in the queue.

    ``at_once`` True makes it here however large it is (the command does).

    Raises:
        InvalidInputError: for a sequence length out of bounds, or a dataset against itself.
    """
    if not MIN_LENGTH <= sequence_length <= MAX_LENGTH:
        raise InvalidInputError(
            f"sequence_length is {sequence_length}; it must be from {MIN_LENGTH} to {MAX_LENGTH}."
        )
    if other is not None and other.pk == dataset.pk:
        raise InvalidInputError("A dataset overlaps with itself everywhere; compare with another one.")
    same = reports_of(dataset=dataset).filter(
        other=other, sequence_length=sequence_length, report_version=REPORT_VERSION
    )
    known = same.filter(status=QualityReport.Status.COMPLETED).first()
    if known is not None:
        return known
    waiting = next((one for one in same.filter(status__in=("queued", "running")) if not one.is_silent), None)
    if waiting is not None and not at_once:
        return waiting
    queued = is_large(dataset=dataset, other=other) if at_once is None else not at_once
    with transaction.atomic():
        report = QualityReport.objects.create(
            dataset=dataset,
            other=other,
            sequence_length=sequence_length,
            report_version=REPORT_VERSION,
            requested_by=actor,
        )
        record_audit(
            actor=actor,
            action="dataset.quality_report",
            target_type="dataset",
            target_id=dataset.pk,
            detail={"address": dataset.address, "report": report.pk, "queued": queued},
        )
        if queued:
            async_task(RUN_REPORT, report.pk, cluster=CLUSTER, task_name=f"quality-{report.pk}")
    if not queued:
        run_report(report_id=report.pk, tell=tell)
        report.refresh_from_db()
    return report


def run_report(*, report_id: int, tell: Tell = lambda _done, _total: None) -> None:
    """Carry out a report. A second delivery of one that is done or alive changes nothing."""
    if not _claim(report_id):
        logger.info("Quality report %s is not waiting; left as it is.", report_id)
        return
    report = QualityReport.objects.select_related("dataset", "other").get(pk=report_id)

    def beat(done: int, total: int) -> None:
        running = QualityReport.objects.filter(pk=report_id, status=QualityReport.Status.RUNNING)
        if not running.filter(cancel_requested=False).update(
            heartbeat_at=timezone.now(), done=min(done, total), total=total
        ):
            raise ReportCancelledError("It was cancelled.")
        tell(done, total)

    try:
        request = ReportRequest(report.dataset, report.sequence_length, report.other)
        content = make_report(request, beat)
    except ReportCancelledError as error:
        _end(report_id, QualityReport.Status.CANCELLED, error=str(error))
    except UserError as error:
        _end(report_id, QualityReport.Status.FAILED, error=str(error))
    except BaseException:
        _end(report_id, QualityReport.Status.FAILED, error=BROKEN)
        raise
    else:
        _end(report_id, QualityReport.Status.COMPLETED, content=content)


def cancel_report(*, report: QualityReport, actor: User | None = None) -> QualityReport:
    """Ask a queued or running report to end; a queued one ends at once.

    Raises:
        ConflictError: if it has ended already.
    """
    alive = QualityReport.objects.filter(pk=report.pk)
    queued = alive.filter(status=QualityReport.Status.QUEUED).update(
        status=QualityReport.Status.CANCELLED, finished_at=timezone.now(), error="It was cancelled."
    )
    if not queued and not alive.filter(status=QualityReport.Status.RUNNING).update(cancel_requested=True):
        raise ConflictError(f"Quality report {report.pk} has ended already.")
    record_audit(
        actor=actor, action="dataset.cancel_report", target_type="quality_report", target_id=report.pk
    )
    report.refresh_from_db()
    return report


def _claim(report_id: int) -> bool:
    now = timezone.now()
    waiting = Q(status=QualityReport.Status.QUEUED)
    silent = Q(status=QualityReport.Status.RUNNING, heartbeat_at__lt=now - QualityReport.SILENT_AFTER)
    mine = QualityReport.objects.filter(waiting | silent, pk=report_id)
    return mine.update(status=QualityReport.Status.RUNNING, heartbeat_at=now, done=0) == 1


def _end(report_id: int, status: str, *, content: dict[str, object] | None = None, error: str = "") -> None:
    news: dict[str, object] = {"status": status, "error": error, "finished_at": timezone.now()}
    if content is not None:
        news["content"] = content
    QualityReport.objects.filter(pk=report_id, status=QualityReport.Status.RUNNING).update(**news)
