"""REST routes of benchmarks."""

from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Query, Router, Schema

from runs.benchmarks.schema import record_schema
from runs.benchmarks.selectors import get_benchmark, list_benchmarks
from runs.models import Benchmark
from tunix_site.auth import READ
from tunix_site.schemas import ERRORS, Limit, Offset, PositiveId

benchmarks_router = Router(tags=["training"])

Text = Annotated[str, Query(max_length=300)]


class BenchmarkListOut(Schema):
    """A page of benchmark records, newest first."""

    items: list[dict[str, Any]]
    count: int


def _out(row: Benchmark) -> dict[str, Any]:
    """Give a record as the API lists it: without the provenance, which the whole one holds."""
    return {name: value for name, value in row.record.items() if name != "provenance"}


@benchmarks_router.get(
    "benchmarks", response={200: BenchmarkListOut, **ERRORS}, auth=READ, summary="Benchmarks"
)
def benchmarks(
    request: HttpRequest,
    model: Text = "",
    device_name: Text = "",
    name: Text = "",
    recipe: Text = "",
    group: Text = "",
    limit: Limit = 50,
    offset: Offset = 0,
) -> BenchmarkListOut:
    """List benchmark records, newest first; `recipe` and `group` are those of a record."""
    rows = list_benchmarks(model=model, device_name=device_name, name=name, recipe=recipe, group=group)
    return BenchmarkListOut(items=[_out(row) for row in rows[offset : offset + limit]], count=rows.count())


@benchmarks_router.get(
    "benchmarks/schema", response={200: dict[str, Any], **ERRORS}, auth=READ, summary="Form of a record"
)
def schema(request: HttpRequest) -> dict[str, Any]:
    """Give the JSON schema of a benchmark record of the current version."""
    return record_schema()


@benchmarks_router.get(
    "benchmarks/{number}", response={200: dict[str, Any], **ERRORS}, auth=READ, summary="One benchmark"
)
def benchmark(request: HttpRequest, number: PositiveId) -> dict[str, Any]:
    """Give the whole record of a benchmark, its provenance included."""
    record: dict[str, Any] = get_benchmark(number).record
    return record
