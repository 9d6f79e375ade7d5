"""Imports in the admin: the list with progress, the upload form, and cancelling."""

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from datasets_app.forms_imports import ImportForm
from datasets_app.imports.previews import look_first
from datasets_app.imports.queue import cancel_import, take_upload
from datasets_app.models import Import
from tunix_site.admin import ReadOnlyAdmin
from tunix_site.errors import ConflictError, UserError


@admin.register(Import)
class ImportAdmin(ReadOnlyAdmin):
    """Imports with their progress; a button above the list uploads a file."""

    list_display = (
        "id",
        "file_name",
        "key",
        "state",
        "imported",
        "refused",
        "dataset",
        "requested_by",
        "created_at",
    )
    list_filter = ("status", "format")
    list_select_related = ("dataset", "requested_by")
    search_fields = ("key", "file_name")
    fields = (
        "page",
        "key",
        "file_name",
        "file_bytes",
        "request",
        "state",
        "format",
        "bytes_done",
        "imported",
        "existing",
        "refused",
        "dataset",
        "error",
        "notes",
        "requested_by",
        "created_at",
        "heartbeat_at",
        "finished_at",
    )
    actions = ("cancel",)
    change_list_template = "admin/datasets_app/import/change_list.html"

    def may_import(self, request: HttpRequest) -> bool:
        """Tell whether this person may import."""
        return request.user.has_perm("datasets_app.add_dataset")

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        """Who may import may cancel."""
        return self.may_import(request)

    @admin.display(description="status", ordering="status")
    def state(self, row: Import) -> str:
        """Give the status; lost where a running import shows no sign of life."""
        return "lost" if row.is_silent else row.status

    @admin.display(description="page")
    def page(self, row: Import) -> SafeString:
        """Link to its page."""
        return format_html(
            '<a href="{}">progress and refused lines</a>', reverse("datasets:import", args=[row.pk])
        )

    @admin.action(description="Cancel the selected imports", permissions=["cancel"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Import]) -> None:
        """Cancel what waits or runs."""
        actor = request.user if isinstance(request.user, User) else None
        for row in queryset:
            try:
                cancel_import(import_id=row.pk, actor=actor)
            except ConflictError as error:
                self.message_user(request, str(error), messages.WARNING)
            else:
                self.message_user(request, f"Import {row.pk} is cancelled.", messages.SUCCESS)

    def get_urls(self) -> list[URLPattern]:
        """Add the form."""
        own = path("upload/", self.admin_site.admin_view(self.upload_view), name="datasets_app_import_upload")
        return [own, *super().get_urls()]

    def upload_view(self, request: HttpRequest) -> HttpResponse:
        """Ask for a file, to look at first or to import: a small one at once, a large one in the queue."""
        if not self.may_import(request):
            raise PermissionDenied("Importing needs the right “operate”.")
        form = ImportForm(request.POST or None, request.FILES or None)
        if request.method == "POST" and form.is_valid():
            try:
                row = self._take(request, form)
            except UserError as error:
                form.add_error(None, str(error))
            else:
                return redirect("datasets:import", row.pk)
        context = {
            **self.admin_site.each_context(request),
            "title": "Import a file",
            "form": form,
            "opts": self.opts,
            "look_first": True,
        }
        return TemplateResponse(request, "admin/datasets_app/form.html", context)

    def _take(self, request: HttpRequest, form: ImportForm) -> Import:
        """Take the file, to be looked at first where that was asked for."""
        upload = form.cleaned_data["file"]
        actor = request.user if isinstance(request.user, User) else None
        wanted = form.import_request()
        if "look" in request.POST:
            return look_first(request=wanted, name=upload.name, chunks=upload.chunks(), actor=actor)
        row, outcome = take_upload(request=wanted, name=upload.name, chunks=upload.chunks(), actor=actor)
        if outcome is None:
            said = f"Import {row.pk} is in the queue; see its progress here."
            self.message_user(request, said, messages.INFO)
        else:
            said = f"{outcome.imported} traces imported, {outcome.refused} refused."
            self.message_user(request, said, messages.SUCCESS)
        return row
