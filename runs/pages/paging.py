"""Long lists in pages of a fixed size."""

from typing import Final

from django.core.paginator import Page, Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest

ROWS_A_PAGE: Final = 50


def page_of[Row: Model](
    request: HttpRequest, rows: QuerySet[Row], *, key: str = "page", size: int = ROWS_A_PAGE
) -> Page[Row]:
    """Give the page of rows whose number stands under ``key`` in the address; nonsense gives the first."""
    return Paginator(rows, size).get_page(request.GET.get(key))
