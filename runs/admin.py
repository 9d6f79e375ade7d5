"""Runs in the admin: look at everything, start, stop and resume; the rest is read-only."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin import ActionLocation
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html

from runs import services
from runs.models import Attempt, Benchmark, Checkpoint, DeviceLease, Evaluation, Run, Worker
from runs.states import Status
from tunix_site.admin import ReadOnlyAdmin
from tunix_site.errors import UserError
from tunix_site.roles import covers, user_scope

EVERYWHERE = [ActionLocation.CHANGE_LIST, ActionLocation.CHANGE_FORM]


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin):
    """Runs with their progress; Start and Stop on the list and on the form."""

    list_display = (
        "id",
        "name",
        "kind",
        "status",
        "progress",
        "dataset",
        "device_kind",
        "final_loss",
        "created_at",
        "page",
    )
    list_filter = ("status", "kind", "device_kind", "dataset__key")
    search_fields = ("=id", "name", "dataset__key")
    list_select_related = ("dataset",)
    actions = ("start_runs", "stop_runs")

    @admin.display(description="Progress")
    def progress(self, run: Run) -> str:
        """Show steps done of all."""
        return f"{run.step} / {run.total_steps} ({run.progress_percent} %)" if run.total_steps else "–"

    @admin.display(description="Page")
    def page(self, run: Run) -> str:
        """Link to the run's page."""
        return format_html('<a href="{}">open</a>', run.get_absolute_url())

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Operators and admins may start and stop runs."""
        return covers(user_scope(request.user), "operate")

    @admin.action(description="Start or resume the chosen runs", permissions=["operate"], location=EVERYWHERE)
    def start_runs(self, request: HttpRequest, runs: QuerySet[Run]) -> None:
        """Put drafts and interrupted trainings into the queue."""
        self._each(request, runs, _start, "queued")

    @admin.action(
        description="Stop the chosen runs (with a checkpoint)", permissions=["operate"], location=EVERYWHERE
    )
    def stop_runs(self, request: HttpRequest, runs: QuerySet[Run]) -> None:
        """Ask runs to stop."""
        self._each(request, runs, services.request_stop, "asked to stop")

    def _each(self, request: HttpRequest, runs: QuerySet[Run], change: Callable[..., Run], done: str) -> None:
        changed = 0
        for run in runs.order_by("id"):
            try:
                change(run, actor=request.user)
            except UserError as error:
                self.message_user(request, str(error), messages.ERROR)
            else:
                changed += 1
        if changed:
            self.message_user(
                request, f"{changed} run{'' if changed == 1 else 's'} {done}.", messages.SUCCESS
            )


def _start(run: Run, *, actor: Any) -> Run:
    return (
        services.start_draft(run, actor=actor)
        if run.status == Status.DRAFT
        else services.resume_run(run, actor=actor)
    )


@admin.register(Checkpoint)
class CheckpointAdmin(ReadOnlyAdmin):
    """Checkpoints that runs wrote."""

    list_display = ("run", "step", "attempt", "size_bytes", "superseded", "removed_at", "created_at")
    list_filter = ("superseded",)
    search_fields = ("=run__id", "path")
    list_select_related = ("run",)


@admin.register(Attempt)
class AttemptAdmin(ReadOnlyAdmin):
    """Every start of every run."""

    list_display = (
        "run",
        "number",
        "status",
        "host",
        "device",
        "start_step",
        "end_step",
        "started_at",
        "finished_at",
    )
    list_filter = ("status", "host")
    list_select_related = ("run",)


@admin.register(Evaluation)
class EvaluationAdmin(ReadOnlyAdmin):
    """Graded evaluations."""

    list_display = (
        "run",
        "step",
        "dataset",
        "split",
        "n",
        "answer_accuracy",
        "step_accuracy",
        "final",
        "created_at",
    )
    list_filter = ("split", "final")
    list_select_related = ("run", "dataset")


@admin.register(Benchmark)
class BenchmarkAdmin(ReadOnlyAdmin):
    """Benchmark records."""

    list_display = (
        "id",
        "model",
        "device_name",
        "batch_size",
        "sequence_length",
        "step_time_median",
        "tokens_per_second",
    )
    list_filter = ("model", "device_name")


@admin.register(DeviceLease)
class DeviceLeaseAdmin(ReadOnlyAdmin):
    """Which run holds which device."""

    list_display = ("device", "host", "run", "attempt", "acquired_at")


@admin.register(Worker)
class WorkerAdmin(ReadOnlyAdmin):
    """Running workers."""

    list_display = ("host", "pid", "started_at", "beat_at")
