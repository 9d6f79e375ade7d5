"""Finding base models and the runs that name them."""

from collections.abc import Iterable
from typing import Final

from django.db.models import QuerySet

from runs.models import BaseModel, Run
from runs.models.base_models import split_reference
from tunix_site.errors import InvalidInputError, NotFoundError

NAMED: Final = 10


def list_bases() -> QuerySet[BaseModel]:
    """List all base models, the one imported last first."""
    return BaseModel.objects.select_related("imported_by").order_by("-imported_at", "-id")


def find_row(address: str) -> BaseModel:
    """Find what ``NAME`` (imported last under it) or ``NAME@HASH`` addresses.

    Raises:
        NotFoundError: naming what there is.
        InvalidInputError: when the hash's beginning fits several.
    """
    try:
        name, prefix = split_reference(address)
    except ValueError:
        raise _unknown(address) from None
    found = list(list_bases().filter(name=name, content_hash__startswith=prefix)[:2])
    if not found:
        raise _unknown(address)
    if prefix and len(found) > 1:
        raise InvalidInputError(f"{address!r} fits several base models; give more digits of the hash.")
    return found[0]


def runs_by_base(bases: Iterable[BaseModel]) -> dict[str, list[Run]]:
    """Give the runs whose frozen config names each of some base models, the newest first, by content hash."""
    known = [base.content_hash for base in bases]
    found: dict[str, list[Run]] = {one: [] for one in known}
    if known:
        named = Run.objects.filter(config__model__icontains="@").order_by("-id")
        for run in named.only("id", "name", "kind", "status", "config").iterator():
            prefix = str(run.config.get("model", "")).partition("@")[2]
            for one in known:
                if prefix and one.startswith(prefix):
                    found[one].append(run)
    return found


def _unknown(address: str) -> NotFoundError:
    there = list(list_bases()[:NAMED])
    said = f"There are: {', '.join(one.reference for one in there)}." if there else "There is none yet."
    return NotFoundError(
        f"There is no base model {address[:100]!r}. {said}",
        hint="Import one with: manage.py import_model FOLDER_OR_REPOSITORY",
    )
