"""Roles inside the admin: what viewers and operators may open and change there."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Model

OUR_APPS = frozenset({"tunix_site", "datasets_app", "runs"})
SCOPE_OF_ACTION = {"view": "read", "change": "operate", "add": "operate", "delete": "admin"}
ADMIN_ONLY = frozenset({"apitoken", "auditevent"})


class RoleBackend(ModelBackend):
    """Signs in by password, and lets the three roles stand for Django's permissions on our own models.

    Viewers view, operators also add and change, admins delete and see tokens and the audit record.
    Permissions given by hand still count.
    """

    def has_perm(
        self, user_obj: AbstractBaseUser | AnonymousUser, perm: str, obj: Model | None = None
    ) -> bool:
        """Tell whether a role or a permission given by hand allows ``perm`` (``app.action_model``)."""
        if super().has_perm(user_obj, perm, obj):  # type: ignore[arg-type]  # the stubs leave out AnonymousUser
            return True
        app, _, codename = perm.partition(".")
        action, _, model = codename.partition("_")
        if app not in OUR_APPS or action not in SCOPE_OF_ACTION:
            return False
        scope = "admin" if model in ADMIN_ONLY else SCOPE_OF_ACTION[action]
        return super().has_perm(user_obj, f"tunix_site.scope_{scope}")  # type: ignore[arg-type]  # as above

    def has_module_perms(self, user_obj: Any, app_label: str) -> bool:
        """Tell whether anything of an app may be seen."""
        if super().has_module_perms(user_obj, app_label):
            return True
        return app_label in OUR_APPS and super().has_perm(user_obj, "tunix_site.scope_read")
