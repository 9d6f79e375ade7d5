"""Finding benchmarks for pages and API."""

from typing import Any, Final

from django.db.models import QuerySet

from runs.models import Benchmark
from tunix_site.errors import NotFoundError

FILTERS: Final = ("model", "device_name", "name", "recipe", "group", "precision")
TREND_SHOWN: Final = 50


def list_benchmarks(**filters: str) -> QuerySet[Benchmark]:
    """List benchmarks, newest first, of what the filters (see `FILTERS`) name; empty ones do not count."""
    wanted = {name: value.replace("\x00", "") for name, value in filters.items() if value}
    return Benchmark.objects.filter(**wanted).order_by("-id")


def get_benchmark(number: int) -> Benchmark:
    """Find a benchmark by its number.

    Raises:
        NotFoundError: when there is none.
    """
    row = Benchmark.objects.select_related("run", "run__dataset").filter(pk=number).first()
    if row is None:
        raise NotFoundError(f"There is no benchmark {number}.")
    return row


def choices(name: str) -> list[str]:
    """Give the values that a filter can have."""
    values: Any = Benchmark.objects.order_by(name).values_list(name, flat=True).distinct()
    return [value for value in values if value]


def same_recipe(row: Benchmark) -> list[Benchmark]:
    """List the newest benchmarks of the same recipe on the same device, oldest first."""
    rows = Benchmark.objects.filter(recipe=row.recipe, device_name=row.device_name, failure="")
    return sorted(rows.order_by("-id")[:TREND_SHOWN], key=lambda one: one.pk)


def repeats_of(row: Benchmark) -> list[Benchmark]:
    """List what the same command started of the same recipe, this one included."""
    if not row.group or row.failure:
        return [row]
    return list(Benchmark.objects.filter(group=row.group, recipe=row.recipe, failure="").order_by("id"))
