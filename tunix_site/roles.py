"""Scopes and roles: who may look, operate and administer.

A scope is ``read``, ``operate`` or ``admin``; each covers those before it. People get theirs
from the groups viewer, operator and admin (a superuser has all), tokens carry one.
"""

from typing import Final, Literal

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, PermissionsMixin

ScopeName = Literal["read", "operate", "admin"]

SCOPES: Final[tuple[ScopeName, ...]] = ("read", "operate", "admin")
GROUP_OF_SCOPE: Final[dict[str, str]] = {"read": "viewer", "operate": "operator", "admin": "admin"}


def covers(held: str | None, needed: str) -> bool:
    """Tell whether a holder of scope ``held`` (None: no scope at all) may do what ``needed`` asks for."""
    if held is None:
        return False
    order: tuple[str, ...] = SCOPES
    return order.index(held) >= order.index(needed)


def user_scope(user: AbstractBaseUser | AnonymousUser) -> ScopeName | None:
    """Return the widest scope of a person, or None: nobody, a closed account, no role."""
    if not isinstance(user, PermissionsMixin) or not user.is_active:
        return None
    held: ScopeName | None = None
    for scope in SCOPES:
        if user.has_perm(f"tunix_site.scope_{scope}"):
            held = scope
    return held


def narrower(one: ScopeName | None, other: ScopeName | None) -> ScopeName | None:
    """Return the scope that both cover."""
    if one is None or other is None:
        return None
    return one if SCOPES.index(one) <= SCOPES.index(other) else other
