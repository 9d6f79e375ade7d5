"""Queued builds in the admin: the list and the page with progress, and cancelling."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.urls import URLPattern, path

from datasets_app.builds import cancel_build
from datasets_app.models import BuildTask
from tunix_site.admin import ReadOnlyAdmin
from tunix_site.errors import UserError


@admin.register(BuildTask)
class BuildTaskAdmin(ReadOnlyAdmin):
    """Builds in the queue, with their progress."""

    list_display = ("id", "state", "done", "total", "dataset", "requested_by", "created_at", "finished_at")
    list_filter = ("status",)
    list_select_related = ("dataset", "requested_by")
    fields = (
        "request",
        "state",
        "done",
        "total",
        "dataset",
        "created",
        "error",
        "requested_by",
        "created_at",
        "heartbeat_at",
        "finished_at",
    )
    actions = ("cancel",)

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        """Who may build may cancel."""
        return request.user.has_perm("datasets_app.add_dataset")

    @admin.display(description="status", ordering="status")
    def state(self, task: BuildTask) -> str:
        """Give the status; lost where a running build shows no sign of life."""
        if task.status == BuildTask.Status.RUNNING and task.cancel_asked:
            return "being cancelled"
        return "lost" if task.is_silent else task.status

    @admin.action(description="Cancel the selected builds", permissions=["cancel"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[BuildTask]) -> None:
        """Cancel what waits or runs."""
        for task in queryset:
            self._cancel(request, task.pk)

    def _cancel(self, request: HttpRequest, task_id: int) -> None:
        actor = request.user if isinstance(request.user, User) else None
        try:
            task = cancel_build(task_id=task_id, actor=actor)
        except UserError as error:
            self.message_user(request, str(error), messages.WARNING)
            return
        ended = task.status == BuildTask.Status.CANCELLED
        said = "is cancelled" if ended else "will be cancelled at its next batch"
        self.message_user(request, f"Build {task_id} {said}.", messages.SUCCESS)

    def get_urls(self) -> list[URLPattern]:
        """Add the button of the page."""
        view = self.admin_site.admin_view(self.cancel_view)
        return [
            path("<int:task_id>/cancel/", view, name="datasets_app_buildtask_cancel"),
            *super().get_urls(),
        ]

    def cancel_view(self, request: HttpRequest, task_id: int) -> HttpResponse:
        """Cancel one build and show it again."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_cancel_permission(request):
            raise PermissionDenied("Cancelling builds needs the right “operate”.")
        self._cancel(request, task_id)
        return redirect("admin:datasets_app_buildtask_change", task_id)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show a build; while it lives the page comes anew every two seconds."""
        task = self.get_object(request, object_id)
        live = task is not None and task.is_live
        more = {**(extra_context or {}), "may_cancel": live and self.has_cancel_permission(request)}
        response = super().change_view(request, object_id, form_url, more)
        if task is not None and live and not task.is_silent:
            response.headers["Refresh"] = "2"
        return response
