"""The admin of traces and datasets: to read, and to seed or build; nothing is changed by hand."""

from collections.abc import Iterator
from typing import Any

import pydantic
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

from datasets_app import admin_builds, admin_imports, admin_traces, builds
from datasets_app.admin_actions import DatasetActions
from datasets_app.build_request import BuildRequest
from datasets_app.forms import BuildForm, SeedForm
from datasets_app.models import Dataset
from datasets_app.selectors import list_datasets
from datasets_app.verification import check_dataset
from tunix_site.admin import ReadOnlyAdmin
from tunix_site.errors import UserError

__all__ = ["admin_builds", "admin_imports", "admin_traces"]  # importing them registers their pages

MOST_CHECKED = 20


class NamedValuesFilter(admin.AllValuesFieldListFilter):
    """A filter by the values of a field, in which the empty one has a name too."""

    def choices(self, changelist: Any) -> Iterator[Any]:
        """List what can be chosen."""
        for choice in super().choices(changelist):
            yield {**choice, "display": choice["display"] or "none"}


@admin.register(Dataset)
class DatasetAdmin(DatasetActions, ReadOnlyAdmin):
    """Published datasets; seeding and building are buttons above the list, checking is an action."""

    list_display = (
        "key",
        "short_hash",
        "trace_count",
        "test_count",
        "licence",
        "published_at",
    )
    list_filter = (("generator", NamedValuesFilter), ("licence", NamedValuesFilter))
    search_fields = ("key", "content_hash", "description", "source")
    date_hierarchy = "published_at"
    fields = (
        "key",
        "content_hash",
        "pages",
        "exports",
        "frozen_at",
        "parent",
        "description",
        "source",
        "licence",
        "generator",
        "recipe",
        "trace_count",
        "train_count",
        "test_count",
        "published_at",
    )
    actions = ("verify", "export", "report", "freeze", "remove")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Dataset]:
        """Show what is published."""
        return list_datasets().select_related("parent")

    @admin.display(description="content", ordering="content_hash")
    def short_hash(self, dataset: Dataset) -> str:
        """Give the beginning of the content hash."""
        return dataset.content_hash[:12]

    @admin.display(description="traces")
    def pages(self, dataset: Dataset) -> SafeString:
        """Link to the traces."""
        page = reverse("datasets:detail", args=[dataset.address])
        rows = reverse("admin:datasets_app_datasettrace_changelist")
        return format_html(
            '<a href="{}">read them</a> · <a href="{}?dataset__id__exact={}">list them</a>',
            page,
            rows,
            dataset.pk,
        )

    @admin.action(description="Check rows, hash, manifest and file", permissions=["view"])
    def verify(self, request: HttpRequest, queryset: QuerySet[Dataset]) -> None:
        """Check the selected datasets and say what does not agree."""
        chosen = list(queryset[: MOST_CHECKED + 1])
        if len(chosen) > MOST_CHECKED:
            self.message_user(request, f"Choose at most {MOST_CHECKED} datasets.", messages.WARNING)
            return
        for dataset in chosen:
            findings = check_dataset(dataset=dataset)
            for finding in findings:
                self.message_user(request, f"{finding.dataset}: {finding.message}", messages.ERROR)
            if not findings:
                self.message_user(request, f"{dataset.address}: all is well.", messages.SUCCESS)

    def may_build(self, request: HttpRequest) -> bool:
        """Tell whether this person may seed and build."""
        return request.user.has_perm("datasets_app.add_dataset")

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the list with the buttons that this person may use."""
        more = {**(extra_context or {}), "may_build": self.may_build(request)}
        return super().changelist_view(request, more)

    def get_urls(self) -> list[URLPattern]:
        """Add the two forms."""
        own = [
            path("seed/", self.admin_site.admin_view(self.seed_view), name="datasets_app_dataset_seed"),
            path("build/", self.admin_site.admin_view(self.build_view), name="datasets_app_dataset_build"),
        ]
        return own + list(super().get_urls())

    def seed_view(self, request: HttpRequest) -> HttpResponse:
        """Ask for a generated dataset."""
        return self._form_view(request, SeedForm, "Seed a dataset")

    def build_view(self, request: HttpRequest) -> HttpResponse:
        """Ask for a dataset chosen from stored traces."""
        return self._form_view(request, BuildForm, "Build from stored traces")

    def _form_view(
        self, request: HttpRequest, form_class: type[SeedForm | BuildForm], title: str
    ) -> HttpResponse:
        if not self.may_build(request):
            raise PermissionDenied("Making datasets needs the right “operate”.")
        form = form_class(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                return self._build(request, form.build_request())
            except UserError as error:
                form.add_error(None, str(error))
            except pydantic.ValidationError as error:
                for finding in error.errors(include_url=False):
                    form.add_error(None, f"{'.'.join(map(str, finding['loc']))}: {finding['msg']}")
        context = {**self.admin_site.each_context(request), "title": title, "form": form, "opts": self.opts}
        return TemplateResponse(request, "admin/datasets_app/form.html", context)

    def _build(self, request: HttpRequest, wanted: BuildRequest) -> HttpResponse:
        actor = request.user if isinstance(request.user, User) else None
        if builds.is_large(wanted):
            task = builds.enqueue_build(request=wanted, actor=actor)
            self.message_user(
                request, f"Build {task.pk} is in the queue; see its progress here.", messages.INFO
            )
            return redirect("admin:datasets_app_buildtask_change", task.pk)
        result = builds.build(request=wanted, actor=actor)
        if result.created:
            self.message_user(request, f"Made {result.dataset.address}.", messages.SUCCESS)
        else:
            text = f"{result.dataset.address} is there already with this content. Nothing changed."
            self.message_user(request, text, messages.INFO)
        return redirect("admin:datasets_app_dataset_change", result.dataset.pk)
