"""Base models in the admin: look at them, import from the hub, delete what no run names."""

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.html import format_html

from runs.base_models.deleting import delete_base
from runs.base_models.forms import ImportForm
from runs.models import BaseModel, ModelImport
from tunix_site.admin import ReadOnlyAdmin
from tunix_site.errors import UserError
from tunix_site.roles import covers, user_scope


@admin.register(BaseModel)
class BaseModelAdmin(ReadOnlyAdmin):
    """Base models; a button above the list imports one from the hub."""

    list_display = ("name", "short_hash", "family", "parameters", "dtype", "licence", "source", "files_here")
    list_filter = ("family", "dtype")
    search_fields = ("name", "source", "content_hash")
    fields = (
        "page",
        "name",
        "content_hash",
        "source",
        "revision",
        "family",
        "parameters",
        "dtype",
        "size_bytes",
        "licence",
        "licence_text",
        "files",
        "tokenizer_hash",
        "chat_template_hash",
        "imported_at",
        "imported_by",
    )
    actions = ("delete_chosen",)
    change_list_template = "admin/runs/basemodel/change_list.html"

    @admin.display(description="content", ordering="content_hash")
    def short_hash(self, row: BaseModel) -> str:
        """Give the beginning of the content hash."""
        return row.content_hash[:12]

    @admin.display(description="files", boolean=True)
    def files_here(self, row: BaseModel) -> bool:
        """Tell whether its files lie on this machine."""
        return row.is_here

    @admin.display(description="page")
    def page(self, row: BaseModel) -> str:
        """Link to its page."""
        return format_html('<a href="{}">{}</a>', row.get_absolute_url(), row.reference)

    def has_remove_permission(self, request: HttpRequest) -> bool:
        """Only administrators delete."""
        return covers(user_scope(request.user), "admin")

    @admin.action(description="Delete the selected base models", permissions=["remove"])
    def delete_chosen(self, request: HttpRequest, queryset: QuerySet[BaseModel]) -> None:
        """Delete those that no run names, and say what keeps the others."""
        for row in queryset:
            try:
                delete_base(row, actor=request.user)
            except UserError as error:
                self.message_user(request, str(error), messages.ERROR)
            else:
                self.message_user(request, f"{row.reference} is deleted.", messages.SUCCESS)

    def get_urls(self) -> list[URLPattern]:
        """Put the form before the addresses of single models."""
        form = path("import/", self.admin_site.admin_view(self.import_view), name="runs_basemodel_import")
        return [form, *super().get_urls()]

    def import_view(self, request: HttpRequest) -> HttpResponse:
        """Ask for a model of the hub and queue its import."""
        if not covers(user_scope(request.user), "operate"):
            raise PermissionDenied
        form = ImportForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                row = form.enqueue(request.user)
            except UserError as error:
                form.add_error(None, str(error))
            else:
                self.message_user(request, f"Import {row.pk} is in the queue.", messages.SUCCESS)
                return redirect("admin:runs_modelimport_change", row.pk)
        context = {
            **self.admin_site.each_context(request),
            "title": "Import from the hub",
            "form": form,
            "opts": self.opts,
        }
        return TemplateResponse(request, "admin/datasets_app/form.html", context)


@admin.register(ModelImport)
class ModelImportAdmin(ReadOnlyAdmin):
    """Imports from the hub, and how far they are."""

    list_display = (
        "id",
        "repository",
        "revision",
        "state",
        "bytes_done",
        "bytes_total",
        "base",
        "created_at",
    )
    list_filter = ("status",)
    list_select_related = ("base",)
    fields = (
        "repository",
        "revision",
        "name",
        "state",
        "doing",
        "bytes_done",
        "bytes_total",
        "error",
        "notes",
        "base",
        "requested_by",
        "created_at",
        "finished_at",
    )

    @admin.display(description="status", ordering="status")
    def state(self, row: ModelImport) -> str:
        """Give the status; lost where a running import shows no sign of life."""
        return row.state
