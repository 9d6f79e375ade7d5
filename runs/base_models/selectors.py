"""Finding base models and the runs that name them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from django.db.models import Count, F, QuerySet, Window
from django.db.models.functions import RowNumber

from runs.models import BaseModel, Run
from runs.models.base_models import split_reference
from training.bases import FEWEST, PREFIX
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


def runs_of(row: BaseModel) -> QuerySet[Run]:
    """Find the runs whose frozen config names a base model, the newest first."""
    return Run.objects.filter(base_hash__in=_written(row)).order_by("-id")


@dataclass(slots=True)
class Users:
    """The runs that name a base model: how many, and the newest of them."""

    count: int = 0
    newest: list[Run] = field(default_factory=list)


def runs_by_base(bases: Iterable[BaseModel], *, most: int = 3) -> dict[str, Users]:
    """Give the newest runs that name each of some base models, by content hash, in one query."""
    found: dict[str, Users] = {}
    # Beginnings of hashes may be those of several.
    owners: dict[str, list[Users]] = {}
    for base in bases:
        users = found[base.content_hash] = Users()
        for text in _written(base):
            owners.setdefault(text, []).append(users)
    own: dict[str, Any] = {"partition_by": [F("base_hash")]}
    numbered = Run.objects.filter(base_hash__in=owners).annotate(
        place=Window(RowNumber(), order_by=F("id").desc(), **own), named=Window(Count("id"), **own)
    )
    for run in numbered.filter(place__lte=most).only("id", "base_hash").order_by("-id") if owners else ():
        for users in owners[run.base_hash]:
            if run.place == 1:
                users.count += run.named
            if len(users.newest) < most:
                users.newest.append(run)
    return found


def _written(row: BaseModel) -> list[str]:
    """List what `Run.base_hash` is where a recipe names a base model."""
    return [row.content_hash[:digits] for digits in range(FEWEST, PREFIX + 1)]


def _unknown(address: str) -> NotFoundError:
    there = list(list_bases()[:NAMED])
    said = f"There are: {', '.join(one.reference for one in there)}." if there else "There is none yet."
    return NotFoundError(
        f"There is no base model {address[:100]!r}. {said}",
        hint="Import one with: manage.py import_model FOLDER_OR_REPOSITORY",
    )
