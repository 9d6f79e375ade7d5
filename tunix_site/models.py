"""What cuts across the apps: API tokens and the record of who did what."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone


class ApiToken(models.Model):
    """A bearer token for the API. Only its SHA-256 is stored; the token itself is shown once."""

    class Scope(models.TextChoices):
        """What a token may do; each covers those before it."""

        READ = "read", "read: look at everything"
        OPERATE = "operate", "operate: also start, stop and import"
        ADMIN = "admin", "admin: everything"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100, blank=True, help_text="what the token is for")
    prefix = models.CharField(
        max_length=16, editable=False, help_text="its first characters, to tell it apart"
    )
    digest = models.CharField(max_length=64, unique=True, editable=False, help_text="SHA-256, hexadecimal")
    scope = models.CharField(max_length=16, choices=Scope.choices)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="empty: never")
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering: ClassVar = ["-created_at", "-pk"]
        verbose_name = "API token"
        permissions: ClassVar = [
            ("scope_read", "Role viewer: look at everything"),
            ("scope_operate", "Role operator: start, stop and import"),
            ("scope_admin", "Role admin: everything"),
        ]

    def __str__(self) -> str:
        return f"{self.prefix}… ({self.scope})"

    @property
    def is_live(self) -> bool:
        """Whether the token still opens the door."""
        expired = self.expires_at is not None and self.expires_at <= timezone.now()
        return self.revoked_at is None and not expired


class AuditEvent(models.Model):
    """Somebody changed something. Written by services, never changed."""

    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    actor_name = models.CharField(max_length=150, blank=True, help_text="kept when the account is deleted")
    action = models.CharField(max_length=64)
    target_type = models.CharField(max_length=64, blank=True)
    target_id = models.CharField(max_length=128, blank=True)
    detail = models.JSONField(default=dict, blank=True)
    at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        ordering: ClassVar = ["-at", "-pk"]
        indexes: ClassVar = [models.Index(fields=["target_type", "target_id"], name="audit_target")]

    def __str__(self) -> str:
        return f"{self.action} {self.target_type} {self.target_id} by {self.actor_name or 'the system'}"
