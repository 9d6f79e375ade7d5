"""Runs in the admin: look at everything, and do what `runs.verbs` has; the rest is read-only."""

from django.contrib import admin
from django.utils.html import format_html

from runs.admin_actions import CHECKPOINT_ACTIONS, RUN_ACTIONS, VerbPermissions
from runs.base_models.admin import BaseModelAdmin, ModelImportAdmin  # registers them
from runs.models import (
    Attempt,
    Benchmark,
    Checkpoint,
    DeviceLease,
    Evaluation,
    HostDevice,
    Run,
    SavedView,
    Tag,
    Worker,
)
from runs.promotion.admin import AliasAdmin, AliasMoveAdmin, AliasRuleAdmin  # registers them
from runs.recipes.admin import TrainsRecipes
from tunix_site.admin import ReadOnlyAdmin

__all__ = ["AliasAdmin", "AliasMoveAdmin", "AliasRuleAdmin", "BaseModelAdmin", "ModelImportAdmin"]


@admin.register(Run)
class RunAdmin(VerbPermissions, TrainsRecipes):
    """Runs with their progress; what can be done to them on the list and on the form."""

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
    list_filter = (
        "status",
        "kind",
        "device_kind",
        "dataset__key",
        "tags",
        ("archived_at", admin.EmptyFieldListFilter),
    )
    search_fields = ("=id", "name", "dataset__key")
    list_select_related = ("dataset",)
    actions = RUN_ACTIONS

    @admin.display(description="Progress")
    def progress(self, run: Run) -> str:
        """Show steps done of all."""
        return f"{run.step} / {run.total_steps} ({run.progress_percent} %)" if run.total_steps else "–"

    @admin.display(description="Page")
    def page(self, run: Run) -> str:
        """Link to the run's page."""
        return format_html('<a href="{}">open</a>', run.get_absolute_url())


@admin.register(Checkpoint)
class CheckpointAdmin(VerbPermissions, ReadOnlyAdmin):
    """Checkpoints that runs wrote; pinned, unpinned, evaluated and forked from here."""

    list_display = (
        "run",
        "step",
        "attempt",
        "size_bytes",
        "pinned",
        "superseded",
        "removed_at",
        "created_at",
    )
    list_filter = ("pinned", "superseded")
    actions = CHECKPOINT_ACTIONS
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
    """Graded evaluations; a new one is asked for on runs and checkpoints."""

    list_display = (
        "id",
        "run",
        "step",
        "dataset",
        "split",
        "n",
        "answer_accuracy",
        "step_accuracy",
        "grader",
        "draws",
        "final",
        "created_at",
        "page",
    )
    list_filter = ("split", "final", "grader")
    list_select_related = ("run", "dataset")

    @admin.display(description="Page")
    def page(self, row: Evaluation) -> str:
        """Link to the page of the evaluation."""
        return format_html('<a href="{}">open</a>', row.get_absolute_url())


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

    list_display = ("host", "pid", "started_at", "beat_at", "drain_requested_at")


@admin.register(HostDevice)
class HostDeviceAdmin(ReadOnlyAdmin):
    """Devices as their host's worker last saw them."""

    list_display = ("host", "label", "name", "usable", "trouble", "seen_at")
    list_filter = ("kind", "host")


@admin.register(Tag)
class TagAdmin(ReadOnlyAdmin):
    """The words that people put on runs."""

    list_display = ("name",)
    search_fields = ("name",)


@admin.register(SavedView)
class SavedViewAdmin(ReadOnlyAdmin):
    """Lists of runs that people keep."""

    list_display = ("name", "owner", "shared", "default", "query")
    list_filter = ("shared",)
    list_select_related = ("owner",)
