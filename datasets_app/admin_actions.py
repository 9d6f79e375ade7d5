"""What can be done with chosen datasets in the admin, beside building: export, report, freeze, delete."""

from typing import TYPE_CHECKING

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from datasets_app.formats import WRITERS, export_lines
from datasets_app.lifecycle import delete_dataset, freeze_dataset
from datasets_app.models import Dataset
from datasets_app.quality.reports import request_report
from tunix_site.errors import UserError
from tunix_site.roles import covers, user_scope

if TYPE_CHECKING:
    Base = admin.ModelAdmin[Dataset]
else:
    Base = object


def _actor(request: HttpRequest) -> User | None:
    return request.user if isinstance(request.user, User) else None


class DatasetActions(Base):
    """Actions of the dataset list, each with the right that it needs."""

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Operators make reports and freeze."""
        return covers(user_scope(request.user), "operate")

    def has_remove_permission(self, request: HttpRequest) -> bool:
        """Administrators delete."""
        return covers(user_scope(request.user), "admin")

    @admin.display(description="export")
    def exports(self, dataset: Dataset) -> SafeString:
        """Link to the dataset in every format, its card and its Croissant description."""
        base = f"/api/datasets/{dataset.address}"
        links = [(f"{base}/export.jsonl?format={name}", name) for name in WRITERS]
        links += [(f"{base}/card.md", "dataset card"), (f"{base}/croissant.json", "Croissant")]
        return format_html("{}", format_html_join(" · ", '<a href="{}">{}</a>', links))

    @admin.action(description="Export (native traces)", permissions=["view"])
    def export(self, request: HttpRequest, queryset: QuerySet[Dataset]) -> HttpResponseBase | None:
        """Download one dataset; the other formats are on its page."""
        chosen = list(queryset[:2])
        if len(chosen) != 1:
            self.message_user(request, "Choose one dataset to export.", messages.WARNING)
            return None
        dataset = chosen[0]
        name = f"{dataset.key}-{dataset.content_hash[:12]}.jsonl"
        return StreamingHttpResponse(
            export_lines(dataset=dataset, format="trace"),
            content_type="application/x-ndjson; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )

    @admin.action(description="Make a quality report", permissions=["operate"])
    def report(self, request: HttpRequest, queryset: QuerySet[Dataset]) -> None:
        """Make a report of one dataset, or queue it."""
        chosen = list(queryset[:2])
        if len(chosen) != 1:
            self.message_user(request, "Choose one dataset to report on.", messages.WARNING)
            return
        report = request_report(dataset=chosen[0], actor=_actor(request))
        page = f"/datasets/{chosen[0].address}/quality/"
        text = format_html(
            'Quality report {} is {}: <a href="{}">see it</a>.', report.pk, report.status, page
        )
        self.message_user(request, text, messages.SUCCESS)

    @admin.action(description="Freeze: never delete", permissions=["operate"])
    def freeze(self, request: HttpRequest, queryset: QuerySet[Dataset]) -> None:
        """Freeze the chosen datasets."""
        frozen = sum(freeze_dataset(dataset=dataset, actor=_actor(request)) for dataset in queryset)
        self.message_user(request, f"{frozen} frozen.", messages.SUCCESS)

    @admin.action(description="Delete where nothing uses it", permissions=["remove"])
    def remove(self, request: HttpRequest, queryset: QuerySet[Dataset]) -> None:
        """Delete the chosen datasets, the newest first; say of each that is kept why."""
        for dataset in queryset.order_by("-pk"):
            address = dataset.address
            try:
                delete_dataset(dataset=dataset, actor=_actor(request))
            except UserError as error:
                self.message_user(request, str(error), messages.ERROR)
            else:
                self.message_user(request, f"Deleted {address}.", messages.SUCCESS)
