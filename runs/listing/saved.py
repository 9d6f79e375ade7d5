"""Lists that people keep: save, rename, share and delete them, and which one each sees first."""

from collections.abc import Sequence
from typing import Final

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.db import IntegrityError, transaction
from django.db.models import Case, Q, QuerySet, When
from django.http import QueryDict
from django.urls import reverse

from runs.listing.address import KEPT, Address, read_address
from runs.models import SavedView
from tunix_site.errors import ConflictError, InvalidInputError, NotFoundError
from tunix_site.roles import covers, user_scope

LONGEST_NAME: Final = 80
LONGEST_QUERY: Final = 2000
MOST_VIEWS: Final = 100


def visible_views(user: User) -> QuerySet[SavedView]:
    """List the views that somebody sees: their own, and what others share; the one seen first leads."""
    rows = SavedView.objects.filter(Q(owner=user) | Q(shared=True)).select_related("owner")
    first = Case(When(owner=user, default=True, then=0), default=1)
    return rows.order_by(first, "name", "id")


def first_view(views: Sequence[SavedView], user: AbstractBaseUser | AnonymousUser) -> SavedView | None:
    """Find among the views that somebody sees the one that they have chosen to see first."""
    return next((view for view in views if view.owner_id == user.pk and view.default), None)


def save_view(
    *, owner: User, name: str, query: str, shared: bool = False, default: bool = False
) -> SavedView:
    """Keep a list under a name; one of the same name that is the owner's own is overwritten.

    Raises:
        InvalidInputError: for a name that is empty or too long, or a query that means nothing.
        ConflictError: when somebody keeps too many.
    """
    name = " ".join(name.replace("\x00", "").split())
    if not name or len(name) > LONGEST_NAME:
        raise InvalidInputError(f"Give the view a name of at most {LONGEST_NAME} characters.")
    _may_share(owner, shared)
    found = SavedView.objects.filter(owner=owner, name=name).first()
    if found is None and SavedView.objects.filter(owner=owner).count() >= MOST_VIEWS:
        raise ConflictError(f"You keep {MOST_VIEWS} views already.", hint="Delete one first.")
    with transaction.atomic():
        view, _ = SavedView.objects.update_or_create(
            owner=owner, name=name, defaults={"query": tidy(query), "shared": shared}
        )
        if default:
            set_default(view)
    return view


def change_view(
    view: SavedView, *, name: str | None = None, query: str | None = None, shared: bool | None = None
) -> SavedView:
    """Rename a view, give it another search, share it or keep it for oneself again.

    Raises:
        InvalidInputError: as `save_view`.
        ConflictError: when another view of the owner has that name.
    """
    if name is not None:
        name = " ".join(name.replace("\x00", "").split())
        if not name or len(name) > LONGEST_NAME:
            raise InvalidInputError(f"Give the view a name of at most {LONGEST_NAME} characters.")
        view.name = name
    if query is not None:
        view.query = tidy(query)
    if shared is not None:
        _may_share(view.owner, shared)
        view.shared = shared
    try:
        with transaction.atomic():
            view.save(update_fields=["name", "query", "shared"])
    except IntegrityError as error:
        raise ConflictError(f"You have another view that is called {view.name}.") from error
    return view


def _may_share(owner: AbstractBaseUser, shared: bool) -> None:
    if shared and not covers(user_scope(owner), "operate"):
        raise InvalidInputError("Sharing a view needs the right “operate”; you can keep it for yourself.")


@transaction.atomic
def set_default(view: SavedView, *, default: bool = True) -> None:
    """Make a view what its owner sees first, in place of the one before, or no longer."""
    SavedView.objects.filter(owner=view.owner, default=True).update(default=False)
    if default:
        SavedView.objects.filter(pk=view.pk).update(default=True)
    view.default = default


def own_view(user: User, number: int) -> SavedView:
    """Find a view that somebody may change: their own one, or, for an admin, a shared one.

    Raises:
        NotFoundError: for any other.
    """
    mine = Q(owner=user)
    if covers(user_scope(user), "admin"):
        mine |= Q(shared=True)
    view = SavedView.objects.filter(mine, pk=number).select_related("owner").first()
    if view is None:
        raise NotFoundError("There is no such view of yours.")
    return view


def tidy(query: str) -> str:
    """Give the part of an address that a view keeps.

    Raises:
        InvalidInputError: when it is too long.
    """
    asked = QueryDict(query.removeprefix("?"), mutable=True)
    for name in [name for name in asked if name not in KEPT]:
        del asked[name]
    kept = read_address(asked).url(saved=True).removeprefix("?")
    if len(kept) > LONGEST_QUERY:
        raise InvalidInputError("The search of this view is too long to keep.")
    return kept


def list_url(query: str) -> str:
    """Give the address of the list with a query that a form sent back, as far as that means something."""
    try:
        kept = tidy(query)
    except InvalidInputError:
        kept = ""
    return f"{reverse('runs:list')}?{kept or 'q='}"


def address_of(view: SavedView) -> Address:
    """Give the address that a view stands for."""
    asked = QueryDict(view.query, mutable=True)
    asked["view"] = str(view.pk)
    return read_address(asked)
