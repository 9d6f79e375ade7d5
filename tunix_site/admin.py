"""The admin of tokens and the audit record, and what stays out of the admin."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django_q import admin as django_q_admin  # registers its pages, so that they can be taken away
from django_q.models import Failure, OrmQ, Schedule, Success

from tunix_site.models import ApiToken, AuditEvent
from tunix_site.services import revoke_token

admin.site.site_header = "tunix_site"
admin.site.site_title = "tunix_site"
admin.site.index_title = "Administration"

# Task arguments are unsigned pickles and a schedule runs any dotted path, so neither is
# for a browser. Runs have pages of their own.
for queue_model in (Schedule, Success, Failure, OrmQ):
    if django_q_admin.admin.site.is_registered(queue_model):
        admin.site.unregister(queue_model)


if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]  # generic in the stubs only
else:
    ModelAdmin = admin.ModelAdmin


class ReadOnlyAdmin(ModelAdmin):
    """Rows that only our services write."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nothing is added by hand."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nothing is changed by hand."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nothing is deleted by hand."""
        return False


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnlyAdmin):
    """Tokens are made by ``manage.py create_token`` and can be revoked here."""

    list_display = (
        "prefix",
        "user",
        "scope",
        "name",
        "created_at",
        "expires_at",
        "last_used_at",
        "revoked_at",
    )
    list_filter = ("scope",)
    list_select_related = ("user",)
    search_fields = ("prefix", "name", "user__username")
    fields = ("prefix", "user", "scope", "name", "created_at", "expires_at", "last_used_at", "revoked_at")
    actions = ("revoke",)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        """Only administrators revoke."""
        return request.user.has_perm("tunix_site.scope_admin")

    @admin.action(description="Revoke the selected tokens", permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        """Close the selected tokens for good."""
        actor = request.user if isinstance(request.user, User) else None
        closed = sum(revoke_token(token=token, actor=actor) for token in queryset)
        self.message_user(request, f"{closed} revoked.", messages.SUCCESS)


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    """Who did what, to read."""

    list_display = ("at", "actor_name", "action", "target_type", "target_id")
    list_filter = ("action", "target_type")
    search_fields = ("actor_name", "action", "target_type", "target_id")
    fields = ("at", "actor", "actor_name", "action", "target_type", "target_id", "detail")
    date_hierarchy = "at"
