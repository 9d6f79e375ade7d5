"""The admin of traces, of where they came from, and of their places in datasets: lists without an end."""

import re
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import BigIntegerField, QuerySet
from django.http import HttpRequest

from datasets_app.models import Dataset, DatasetFacts, DatasetTrace, Split, Trace, TraceSource
from datasets_app.planner import unindexed
from datasets_app.selectors import list_datasets, visible_traces
from tunix_site.admin import ReadOnlyAdmin

MOST_LISTED = 10_000
HASHES_FOUND = 20
CHOICES = 100
_HASH_PREFIX = re.compile(r"[0-9a-f]{4,64}")

if TYPE_CHECKING:
    AnyPaginator = Paginator[Any]  # generic in the stubs only
else:
    AnyPaginator = Paginator


class CappedPaginator(AnyPaginator):
    """Pages through the first 10,000 rows: no more are ever counted or skipped."""

    @cached_property
    def count(self) -> int:
        """Count the rows, at most `MOST_LISTED`, in whatever order is found fastest."""
        rows: Any = self.object_list
        return int(rows.order_by()[:MOST_LISTED].count())


class FixedOrder(ChangeList):
    """A list in the admin's own order, whatever the address asks for: any other would sort all rows."""

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        """Give the order that an index has."""
        return list(self.model_admin.get_ordering(request))


class LongListAdmin(ReadOnlyAdmin):
    """Rows in one order, which an index has; found by hash only, for texts are searched elsewhere."""

    paginator = CappedPaginator
    sortable_by = ()
    search_fields = ("content_hash",)
    search_help_text = (
        f"at least four digits of a trace's hash; at most {MOST_LISTED:,} rows are listed. "
        "Words are searched on the page of a dataset's traces."
    )
    show_full_result_count = False
    list_per_page = 50
    # Where the row names its trace.
    trace_column = "pk"

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """List in one order."""
        return FixedOrder

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find rows by the beginning of a hash, as a range that its index knows."""
        prefix = search_term.strip().lower()
        if not prefix:
            return queryset, False
        if not _HASH_PREFIX.fullmatch(prefix):
            return queryset.none(), False
        traces = Trace.objects.filter(content_hash__gte=prefix, content_hash__lt=f"{prefix}g")
        found = list(traces.order_by("content_hash").values_list("pk", flat=True)[:HASHES_FOUND])
        # The rows first: asked for traces and an order at once, SQLite would walk through the order.
        rows = self.model._default_manager.filter(**{f"{self.trace_column}__in": found}).order_by()
        return queryset.filter(pk__in=list(rows.values_list("pk", flat=True)[:MOST_LISTED])), False


@admin.register(Trace)
class TraceAdmin(LongListAdmin):
    """Stored traces."""

    list_display = ("short_hash", "prompt_start", "step_count", "final_answer_start", "created_at")
    fields = ("content_hash", "prompt", "steps", "final_answer", "step_count", "size_bytes", "created_at")
    ordering = ("-pk",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Trace]:
        """Show what is visible."""
        return visible_traces()

    @admin.display(description="trace")
    def short_hash(self, trace: Trace) -> str:
        """Give the beginning of the hash."""
        return trace.content_hash[:12]

    @admin.display(description="prompt")
    def prompt_start(self, trace: Trace) -> str:
        """Give the beginning of the prompt."""
        return trace.prompt[:100]

    @admin.display(description="answer")
    def final_answer_start(self, trace: Trace) -> str:
        """Give the beginning of the answer."""
        return trace.final_answer[:40]


@admin.register(TraceSource)
class TraceSourceAdmin(LongListAdmin):
    """Where traces were handed in from."""

    list_display = ("trace", "source", "licence", "family", "created_at")
    list_select_related = ("trace",)
    fields = ("trace", "source", "licence", "family", "meta", "created_at")
    ordering = ("-pk",)
    trace_column = "trace_id"


class PublishedFilter(admin.RelatedFieldListFilter):
    """Offers the published datasets, without looking through their traces for them."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> Any:
        """Name the newest contents."""
        return [(dataset.pk, str(dataset)) for dataset in list_datasets()[:CHOICES]]


class FamilyFilter(admin.SimpleListFilter):
    """Offers the families that the stored counts of the datasets name."""

    title = "family"
    parameter_name = "family"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[Any, str]]:
        """Name the families of the dataset that is chosen, else of all."""
        facts = DatasetFacts.objects.filter(dataset__in=list_datasets().order_by())
        chosen = request.GET.get("dataset__id__exact", "")
        if chosen.isascii() and chosen.isdecimal() and len(chosen) < 19:
            facts = facts.filter(dataset=int(chosen))
        counted = facts.order_by("-dataset").values_list("families", flat=True)[:CHOICES]
        names = sorted({name for families in counted for name in families})
        return [(name, name or "none") for name in names[:CHOICES]]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Narrow to one family."""
        return queryset if self.value() is None else queryset.filter(family=self.value())


class SplitFilter(admin.SimpleListFilter):
    """Offers the two sides; together with a family, the index of families is walked."""

    title = "split"
    parameter_name = "split__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[Any, str]]:
        """Name the sides."""
        return [(str(value), str(label)) for value, label in Split.choices]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Narrow to one side."""
        if self.value() is None:
            return queryset
        column = "split"
        if FamilyFilter.parameter_name in request.GET:
            queryset, column = queryset.alias(side=unindexed("split")), "side"
        return queryset.filter(**{column: self.value()})


@admin.register(DatasetTrace)
class DatasetTraceAdmin(LongListAdmin):
    """The traces of published datasets, in order."""

    list_display = ("dataset", "position", "split", "family", "trace")
    list_select_related = ("dataset", "trace")
    list_filter = (SplitFilter, FamilyFilter, ("dataset", PublishedFilter))
    fields = ("dataset", "position", "split", "family", "source", "licence", "meta", "trace")
    # Not by the dataset itself: that would sort everything by its key.
    ordering = ("dataset_id", "position")
    trace_column = "trace_id"

    def get_queryset(self, request: HttpRequest) -> QuerySet[DatasetTrace]:
        """Show what is published."""
        published = Dataset.objects.filter(status=Dataset.Status.PUBLISHED)
        keys = list(published.values_list("pk", flat=True))
        if request.GET.get("q"):
            # Few rows are left then: the datasets must not be walked through for them.
            return DatasetTrace.objects.alias(at=unindexed("dataset_id", BigIntegerField)).filter(at__in=keys)
        return DatasetTrace.objects.filter(dataset__in=keys)
